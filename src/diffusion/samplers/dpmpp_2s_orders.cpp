#include "diffusion/samplers/dpmpp_2s_orders.hpp"

namespace sdtorch {

std::vector<int64_t> singlestep_orders(const SamplingPlan& plan) {
  const SchedulerConfig& config = plan.config;
  const int64_t order = config.solver_order, steps = plan.steps;
  const bool ends_at_zero = plan.listed.empty() ? config.final_sigmas_type == "zero" : plan.listed.back() == 0;
  const bool lower = config.lower_order_final || ends_at_zero || steps % order != 0;
  std::vector<int64_t> orders;
  for (int64_t i = 0; i < steps; ++i) orders.push_back(i % order + 1);
  if (lower && order == 3 && steps % 3 == 0) orders.back() = 1;
  if (lower && order == 2 && steps % 2 == 0) orders.back() = 1;
  if (ends_at_zero) orders.back() = 1;
  return orders;
}

}  // namespace sdtorch
