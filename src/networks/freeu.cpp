#include "networks/freeu.hpp"

namespace sdtorch {
namespace {

/// Scales the lowest frequencies of each channel.
at::Tensor filtered(const at::Tensor& x, double scale) {
  constexpr int64_t axes[] = {-2, -1};
  constexpr int64_t reach = 1;  // coefficients to each side of the middle
  at::Tensor spectrum = at::fft_fftshift(at::fft_fftn(x.to(at::kFloat), {}, axes), axes);
  at::Tensor mask = at::ones({x.size(-2), x.size(-1)}, x.options().dtype(at::kFloat));
  const int64_t row = x.size(-2) / 2, column = x.size(-1) / 2;
  mask.slice(0, row - reach, row + reach).slice(1, column - reach, column + reach).fill_(scale);
  return at::real(at::fft_ifftn(at::fft_ifftshift(spectrum * mask, axes), {}, axes)).to(x.scalar_type());
}

}  // namespace

void apply_freeu(const FreeU& freeu, size_t block, at::Tensor& x, at::Tensor& skip) {
  if (block > 1) return;
  const int64_t half = x.size(1) / 2;
  x = at::cat({x.narrow(1, 0, half) * (block == 0 ? freeu.b1 : freeu.b2), x.narrow(1, half, x.size(1) - half)}, 1);
  skip = filtered(skip, block == 0 ? freeu.s1 : freeu.s2);
}

}  // namespace sdtorch
