// Memory for tensors that is kept when a tensor goes, for the next ones: a network asks for the same sizes again and
// again, and the system's own allocator would hand each back and have it filled with zeros anew, page by page.
#pragma once

#include <cstddef>

namespace sdtorch {

/// From here on tensors on the CPU of a megabyte and more get memory that is kept, in huge pages where Linux has them.
/// What no tensor uses is kept until it is released, but for what makes room for more. Changes LibTorch's allocator for
/// the whole process, which is a program's to decide: the tool calls it before it makes a tensor. A second call changes
/// nothing.
void keep_memory();

/// Has so many bytes lie idle, touched, in place of what does: tensors that come then wait for no page. Less where
/// memory is short.
void ready_memory(size_t bytes);

/// Gives back what is kept and not in use, before work whose sizes are others.
void release_kept_memory();

}  // namespace sdtorch
