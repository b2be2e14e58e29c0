// Reference results made by diffusers and transformers (scripts/make_goldens.py), and how far we are from them.
#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <map>
#include <string>

/// tests/golden/NAME of the source tree; name is AREA/FILE, such as "text/clip.safetensors".
std::filesystem::path golden_path(const std::string& name);

/// The tensors of a .safetensors golden; the suffix may be left out: load_golden("networks/unet_sd1").
std::map<std::string, at::Tensor> load_golden(const std::string& name);

/// The text that the golden's maker left with it; "made_by" names the versions.
std::map<std::string, std::string> golden_metadata(const std::string& name);

/// max|actual - expected| / max|expected|; infinite where shapes differ or a number is not finite.
double relative_error(const at::Tensor& actual, const at::Tensor& expected);
