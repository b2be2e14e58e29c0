// The depth estimator of SD 2's file for depth to image: DPT-Hybrid under the names of MiDaS's code (Ranftl et al.
// 2021), where we have transformers'.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "weights/ldm_keys.hpp"
#include "weights/state_dict.hpp"

namespace sdtorch {

// weights: the estimator's own, `model.pretrained.model.cls_token`, …

/// transformers' config: what shapes tell, and the rest as in the published one, base. No tensor tells how many heads
/// there are, 64 channels each, or which layers' outputs are used: the first two, that after two thirds of them, and
/// the last. Throws ErrorKind::model naming file and key where a tensor that tells a size is missing.
nlohmann::json midas_config(const StateDict& weights, nlohmann::json base);

/// Queries, keys and values are one matrix there. Without the classifier that the backbone was trained with.
StateDict depth_estimator_from_midas(StateDict weights, const std::string& prefix);

/// The other direction, by foreign key. keys: our component's.
std::map<std::string, ForeignTensor> depth_estimator_to_midas(const KeySet& keys);

}  // namespace sdtorch
