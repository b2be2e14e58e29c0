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

/// Releases what is kept, and keeps so many bytes in its place that were touched already, so that the tensors that come
/// next wait for no page. None where they are more than a quarter of what is free.
void ready_memory(size_t bytes);

/// Gives back what is kept and not in use, before work whose sizes are others.
void release_kept_memory();

}  // namespace sdtorch
