// What YAML files say, without their structure.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace sdtorch {

/// The scalars of the first document by their path, `model.params.parameterization` → `v`, as text whatever their type;
/// a list's entries go by `-`. Of several with one path the first counts. Aliases are not expanded: they give nothing.
/// Throws ErrorKind::model naming `file` and the line for what is no YAML, is nested too deep or named too long.
std::map<std::string, std::string> read_yaml_scalars(std::string_view text, const std::string& file);

}  // namespace sdtorch
