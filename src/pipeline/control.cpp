#include "pipeline/control.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <utility>

#include "core/error.hpp"
#include "core/suggest.hpp"
#include "io/grey_image.hpp"
#include "io/resize.hpp"
#include "pipeline/control_preprocess.hpp"
#include "pipeline/input_pictures.hpp"
#include "pipeline/settings.hpp"

namespace sdtorch {
namespace {

std::string net_count(size_t count) { return fmt::format("{} control net{}", count, count == 1 ? "" : "s"); }

template <typename Value>
void check_length(const char* flag, const std::vector<Value>& list, size_t nets) {
  if (list.empty()) return;
  if (nets == 0) refuse(flag, "there is no control net", "give --control-net PATH");
  if (list.size() != 1 && list.size() != nets) {
    refuse(flag, fmt::format("{} values for {}", list.size(), net_count(nets)), "give one for all, or one for each");
  }
}

void check_lists(const Request& request, size_t nets) {
  const size_t pictures = request.control_image.size();
  if (nets == 0) check_length("--control-image", request.control_image, nets);
  if (pictures != nets) {
    refuse("--control-image", fmt::format("{} picture{} for {}", pictures, pictures == 1 ? "" : "s", net_count(nets)),
           "give one for each net, in their order");
  }
  check_length("--control-strength", request.control_strength, nets);
  check_length("--control-start", request.control_start, nets);
  check_length("--control-end", request.control_end, nets);
  check_length("--control-mode", request.control_mode, nets);
  check_length("--control-preprocess", request.control_preprocess, nets);
}

ControlMode mode_of(const std::string& name) {
  check_choice("--control-mode", name, {control_mode_names.begin(), control_mode_names.end()});
  if (name == "prompt") return ControlMode::prompt;
  return name == "control" ? ControlMode::control : ControlMode::balanced;
}

/// All but the picture.
ResolvedControl resolve_numbers(const Request& request, size_t net) {
  ResolvedControl control{.strength = value_for(request.control_strength, net, 1.0),
                          .start = value_for(request.control_start, net, 0.0),
                          .end = value_for(request.control_end, net, 1.0),
                          .mode = mode_of(value_for<std::string>(request.control_mode, net, "balanced"))};
  if (control.start >= control.end) {
    refuse("--control-start", fmt::format("{} is not before --control-end, {}", control.start, control.end));
  }
  return control;
}

/// Adapters make small pictures of large ones by whole blocks.
void check_multiples(const ModelDescription& model, const Request& request) {
  for (const ControlDescription& net : model.controls) {
    const auto check = [&](const char* flag, int64_t pixels) {
      if (pixels % net.multiple() == 0) return;
      const int64_t below = pixels / net.multiple() * net.multiple();
      refuse(flag, fmt::format("{} is not a multiple of {}, as {} needs it", pixels, net.multiple(), net.path.string()),
             below > 0 ? fmt::format("use {} or {}", below, below + net.multiple())
                       : fmt::format("use {}", net.multiple()));
    };
    check("--width", *request.width);
    check("--height", *request.height);
  }
}

/// -1 where the mask's pixels are repainted: from half of white on.
void hide(at::Tensor& picture, const GreyImage& mask) {
  constexpr int64_t half = 128;
  const at::Tensor bytes =
      at::from_blob(const_cast<uint8_t*>(mask.pixels.data()), {mask.height, mask.width}, at::TensorOptions(at::kByte));
  picture = picture.masked_fill(bytes.ge(half), -1);
}

void check_estimator(const ModelDescription& model, const Image& picture) {
  if (!model.depth_estimator) {
    refuse("--control-preprocess", fmt::format("depth takes an estimator, and {} has none", model.name),
           "give one by --depth-estimator DIR");
  }
  model.depth_estimator->check_takes(picture.height, picture.width);
}

}  // namespace

bool ResolvedControl::steers(int64_t call, int64_t calls) const {
  const auto share = [&](int64_t done) { return static_cast<double>(done) / static_cast<double>(calls); };
  return share(call) >= start && share(call + 1) <= end;
}

/// A grey picture is resized as such, for the roundings.
at::Tensor control_tensor(const Image& picture, int64_t channels, const Request& request) {
  const auto tensor = [&](const auto& fitted) {
    const at::Tensor bytes = at::from_blob(const_cast<uint8_t*>(fitted.pixels.data()),
                                           {1, fitted.height, fitted.width, channels}, at::TensorOptions(at::kByte));
    return (bytes.to(at::kFloat) / 255).permute({0, 3, 1, 2}).contiguous();
  };
  const Fit how = fit_of(request.resize);
  if (channels == 1) return tensor(fit(to_grey(picture), *request.width, *request.height, how));
  return tensor(fit(picture, *request.width, *request.height, how));
}

std::vector<ResolvedControl> resolve_controls(const ModelDescription& model, Request& request, const GreyImage* mask,
                                              std::vector<std::string>& warnings) {
  const size_t nets = model.controls.size();
  check_lists(request, nets);
  if (nets == 0) return {};
  std::vector<ResolvedControl> controls;
  std::vector<Preprocess> preprocesses;
  const auto preprocess_name = [&](size_t net) {
    return value_for<std::string>(request.control_preprocess, net, "none");
  };
  for (size_t i = 0; i < nets; ++i) {
    controls.push_back(resolve_numbers(request, i));
    preprocesses.push_back(preprocess_of(preprocess_name(i)));
    if (preprocess_name(i) == masking_preprocess && !mask) {
      refuse("--control-preprocess", "inpaint hides what a mask says, and there is none", "give --init-img and --mask");
    }
  }
  int64_t multiple = model.vae.factor();
  for (const ControlDescription& net : model.controls) multiple = std::lcm(multiple, net.multiple());
  std::vector<Image> pictures;
  for (size_t i = 0; i < nets; ++i) {
    pictures.push_back(preprocesses[i](read_on_white(request, request.control_image[i])));
    take_size(request, pictures.back(), request.control_image[i], multiple, warnings);
  }
  check_multiples(model, request);
  for (size_t i = 0; i < nets; ++i) {
    if (preprocess_name(i) == depth_preprocess) {
      check_estimator(model, pictures[i]);
      controls[i].of_depth = std::move(pictures[i]);
      continue;
    }
    controls[i].picture = control_tensor(pictures[i], model.controls[i].picture_channels(), request);
    if (preprocess_name(i) == masking_preprocess) hide(controls[i].picture, *mask);
  }
  return controls;
}

}  // namespace sdtorch
