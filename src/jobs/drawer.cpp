#include "jobs/drawer.hpp"

#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <exception>
#include <utility>

#include "core/cancel.hpp"
#include "core/error.hpp"
#include "core/free_memory.hpp"
#include "core/interrupt.hpp"
#include "core/log.hpp"
#include "core/out_of_memory.hpp"
#include "core/own_thread.hpp"

namespace sdtorch {
namespace {

constexpr const char* wide_type = "fp32";
constexpr const char* wide_note = "drawn again in fp32";

/// What `work` returns; everything that it throws as sdtorch::Error.
template <typename Work>
auto naming_faults(const Work& work) {
  try {
    return naming_out_of_memory(work);
  } catch (const Error&) {
    throw;
  } catch (const c10::Error& error) {
    throw Error(ErrorKind::bug, {.reason = fmt::format("a bug in sdtorch: {}", error.what_without_backtrace())});
  } catch (const std::exception& error) {
    throw Error(ErrorKind::bug, {.reason = fmt::format("a bug in sdtorch: {}", error.what())});
  }
}

ModelChoice in_wide_type(ModelChoice choice) {
  choice.dtype = wide_type;
  choice.quantize.clear();
  return choice;
}

}  // namespace

const Pipeline& Drawer::open(const ModelChoice& choice) {
  if (!opened_ || opened_->choice != choice) {
    ahead_.finish();
    opened_.reset();
    if (wide_ && wide_->choice != in_wide_type(choice)) wide_.reset();
    opened_.emplace(choice, Pipeline::open(models_.get(choice)));
  }
  return opened_->pipeline;
}

DrawnBatch Drawer::draw(const ModelChoice& choice, const std::vector<Request>& pictures, const Observer& observer) {
  ahead_.finish();
  return naming_faults([&]() -> DrawnBatch {
    try {
      return {.pictures = draw_as_asked(choice, pictures, observer), .choice = &models_.get(choice).choice()};
    } catch (const Error& error) {
      const bool again = error.kind() == ErrorKind::non_finite && pictures.size() == 1 &&
                         drawing_->model().choice().dtype != wide_type;
      if (!again) throw;
      log_warning(fmt::format("{}: drawing it again in {}", error.parts().reason, wide_type));
      return draw_in_fp32(choice, pictures, observer, error);
    }
  });
}

void Drawer::read_ahead(const ModelChoice& choice, const std::vector<Request>& pictures) {
  const bool same = opened_ && drawing_ == &opened_->pipeline && opened_->choice == choice;
  if (same) ahead_.begin(opened_->pipeline, pictures);
}

std::vector<Picture> Drawer::draw_as_asked(const ModelChoice& choice, const std::vector<Request>& pictures,
                                           const Observer& observer) {
  const auto draw_now = [&] {
    drawing_ = &open(choice);
    const auto draw = [&] { return drawing_->draw(pictures, observer); };
    if (!was_short_) return draw();
    return in_own_thread([&] {
             const CancelScope cancel(throw_if_interrupted);
             return draw();
           })
        .get();
  };
  try {
    return naming_out_of_memory(draw_now);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::memory) throw;
    was_short_ = true;
    if (opened_) release_device_memory(at::Device(opened_->pipeline.model().choice().device));  // for what comes next
    if (!wide_) throw;
  }
  const at::Device device(wide_->pipeline.model().choice().device);
  wide_.reset();  // there is no room for it beside this
  release_device_memory(device);
  return draw_now();
}

DrawnBatch Drawer::draw_in_fp32(const ModelChoice& choice, const std::vector<Request>& pictures,
                                const Observer& observer, const Error& before) {
  DrawnBatch drawn;
  try {
    naming_out_of_memory([&] {
      drawing_ = &open_wide(in_wide_type(choice));
      drawn.pictures = drawing_->draw(pictures, observer);
    });
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::memory) throw;
    ErrorParts parts = before.parts();
    parts.hint = fmt::format("memory does not suffice to draw it again in {} ({})", wide_type, error.what());
    throw Error(before.kind(), std::move(parts));
  }
  for (Picture& picture : drawn.pictures) picture.notes.emplace_back(wide_note);
  drawn.choice = &models_.get(wide_->choice).choice();
  return drawn;
}

const Pipeline& Drawer::open_wide(const ModelChoice& choice) {
  if (wide_ && wide_->choice == choice) return wide_->pipeline;
  const auto open = [&] { wide_.emplace(choice, Pipeline::open(models_.get(choice))); };
  wide_.reset();
  try {
    naming_out_of_memory(open);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::memory || !opened_) throw;
    ahead_.finish();
    opened_.reset();  // it is opened again for the next picture
    open();
  }
  return wide_->pipeline;
}

}  // namespace sdtorch
