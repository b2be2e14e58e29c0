// How much of another model goes into each tensor of a merge.
#pragma once

#include <array>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "weights/families.hpp"
#include "weights/key_table.hpp"

namespace sdtorch {

/// The numbers of `--weights`. Blocks are counted as the original code counts them and as "merge block weighted" and
/// its like name them: IN00…IN11, M00, OUT00…OUT11 (SDXL: IN00…IN08, M00, OUT00…OUT08). The embedding of the timestep
/// (and of SDXL's sizes) is IN00's, the last normalisation and convolution are the last OUT's; everything outside the
/// U-Net is BASE.
class MergeWeights {
 public:
  /// text, separated by commas: one number, of everything; a number a block (25, SDXL 19, or as many as the model has
  /// blocks, with BASE 0), or BASE before these (26, 20); SDXL's may end with the VAE's (21); NAME=W pairs, alone (the
  /// rest is 0) or after these numbers: base, te, te2, vae, unet, in, mid, out, in00, …, out11, any case, each once.
  /// unet: the U-Net's keys, our names. Throws ErrorKind::usage naming flag and reason.
  MergeWeights(const std::string& text, Family family, const KeySet& unet);

  /// key: of the component, our name.
  double of(std::string_view component, std::string_view key) const;

 private:
  struct Block {
    std::string group{};  ///< in, mid, out
    size_t index = 0;
  };

  void read_numbers(const std::vector<double>& numbers, Family family);
  std::string part_called(const std::string& name) const;
  void check_name(const std::string& name) const;
  std::optional<Block> block_of(std::string_view key) const;
  double named(std::initializer_list<std::string> names) const;

  KeyTable table_;
  size_t ins_ = 12, outs_ = 12;        ///< as the family's models have them; a block beyond them has no name
  size_t own_ins_ = 0, own_outs_ = 0;  ///< of this model
  double rest_ = 0;
  std::map<std::string, double> named_{};
};

}  // namespace sdtorch
