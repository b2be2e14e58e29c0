// The family that a model is of, however its files lie.
#pragma once

#include "weights/families.hpp"
#include "weights/model_source.hpp"

namespace sdtorch {

/// What names, shapes and the index tell. A folder of AltDiffusion or Japanese Stable Diffusion is of SD 1.x, whose
/// U-Net and VAE it has. Throws ErrorKind::model for a config that cannot be read.
Family family_of(const ModelSource& model);

}  // namespace sdtorch
