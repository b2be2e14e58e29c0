#include "text/prompt/editing.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "text/prompt/characters.hpp"
#include "text/prompt/syntax_error.hpp"

namespace sdtorch {
namespace {

/// Balanced brackets, found.
struct Group {
  size_t end = 0;  ///< behind the closing one; 0: these do not balance
  EditNode::Kind kind = EditNode::Kind::text;
  std::vector<size_t> separators{};  ///< the `:` or `|` between options
};

class EditingParser {
 public:
  EditingParser(std::string_view text, size_t first, size_t last, std::vector<PromptOddity>& oddities)
      : text_(text), first_(first), last_(last), oddities_(oddities) {}

  EditTree parse() {
    if (!mark_escapes()) return literal();
    check_depth();
    groups_.resize(last_ - first_);
    for (size_t at = last_; at-- > first_;) {
      if (opens(at)) group_at(at) = text_[at] == '(' ? round_group(at) : square_group(at);
    }
    EditTree tree;
    if (!append(tree, first_, last_)) return literal();
    return tree;
  }

 private:
  static EditNode text_node(size_t first, size_t last) { return {.first = first, .last = last}; }

  /// The whole as text, which is said where it looks like more.
  EditTree literal() {
    const std::string_view whole = text_.substr(first_, last_ - first_);
    if (whole.find('[') != std::string_view::npos) {
      oddities_.push_back(
          {.offset = literal_at_,
           .text = fmt::format("'{}' here makes text of the whole prompt, as A1111 has it, [from:to:when] and "
                               "[one|other] included; write \\{} for one that is text",
                               text_[literal_at_], text_[literal_at_])});
    }
    return {text_node(first_, last_)};
  }

  Group& group_at(size_t at) { return groups_[at - first_]; }
  bool special(size_t at, char c) const { return text_[at] == c && !escaped_[at - first_]; }
  bool opens(size_t at) const { return special(at, '(') || special(at, '['); }

  /// False where a backslash escapes nothing.
  bool mark_escapes() {
    escaped_.assign(last_ - first_, false);
    for (size_t at = first_; at < last_; ++at) {
      if (text_[at] != '\\') continue;
      literal_at_ = at;
      if (at + 1 == last_ || text_[at + 1] == '\n') return false;
      escaped_[++at - first_] = true;
    }
    return true;
  }

  void check_depth() const {
    int64_t depth = 0;
    for (size_t at = first_; at < last_; ++at) {
      if (opens(at) && ++depth > deepest_nesting) {
        throw PromptSyntaxError{.offset = at, .reason = "brackets nest too deep"};
      }
      if ((special(at, ')') || special(at, ']')) && depth > 0) --depth;
    }
  }

  /// Where text and balanced groups from `at` on end. Right of it all groups are known.
  size_t walk(size_t at) {
    while (at < last_) {
      if (opens(at) && group_at(at).end != 0) {
        at = group_at(at).end;
      } else if (opens(at) || special(at, ')') || special(at, ']') || special(at, ':') || special(at, '|')) {
        break;
      } else {
        ++at;
      }
    }
    return at;
  }

  bool is_at(size_t at, char c) const { return at < last_ && special(at, c); }

  /// `(a)`, `(a:b)`
  Group round_group(size_t open) {
    size_t at = walk(open + 1);
    if (is_at(at, ':')) at = walk(at + 1);
    return is_at(at, ')') ? Group{.end = at + 1} : Group{};
  }

  /// `[a]`, `[a:b:3]`, `[a:3]`, `[a|b|c]`
  Group square_group(size_t open) {
    const size_t at = walk(open + 1);
    if (is_at(at, ']')) return {.end = at + 1};
    if (is_at(at, '|')) return options(at, '|', EditNode::Kind::alternate);
    if (!is_at(at, ':')) return {};
    Group group = options(at, ':', EditNode::Kind::edit);
    const bool one_number = group.separators.size() <= 2 && group.end != 0 &&
                            is_prompt_number(without_spaces(group.separators.back() + 1, group.end - 1));
    return one_number ? group : Group{};
  }

  Group options(size_t at, char separator, EditNode::Kind kind) {
    Group group{.kind = kind};
    for (; is_at(at, separator); at = walk(at + 1)) group.separators.push_back(at);
    if (is_at(at, ']')) group.end = at + 1;
    return group;
  }

  std::string_view without_spaces(size_t first, size_t last) const {
    const size_t begin = std::min(after_spaces(text_, first), last);
    return text_.substr(begin, before_spaces(text_, last, begin) - begin);
  }

  /// False where a `|` separates nothing.
  bool append(EditTree& tree, size_t at, size_t end) {
    while (at < end) {
      literal_at_ = at;
      if (special(at, '|')) return false;
      const Group group = opens(at) ? group_at(at) : Group{};
      if (group.end != 0 && group.kind != EditNode::Kind::text) {
        if (!append_group(tree, at, group)) return false;
        at = group.end;
        continue;
      }
      if (tree.empty() || tree.back().kind != EditNode::Kind::text) tree.push_back(text_node(at, at));
      tree.back().last = ++at;
    }
    return true;
  }

  bool append_group(EditTree& tree, size_t open, const Group& group) {
    const bool edit = group.kind == EditNode::Kind::edit;
    EditNode node{.kind = group.kind, .first = open, .last = group.end};
    if (edit && group.separators.size() == 1) node.options.emplace_back();  // there is nothing that it replaces
    size_t first = open + 1;
    for (const size_t separator : group.separators) {
      if (!append(node.options.emplace_back(), first, separator)) return false;
      first = separator + 1;
    }
    if (edit) {
      node.when = without_spaces(first, group.end - 1);
    } else if (!append(node.options.emplace_back(), first, group.end - 1)) {
      return false;
    }
    tree.push_back(std::move(node));
    return true;
  }

  std::string_view text_;
  size_t first_, last_;
  std::vector<PromptOddity>& oddities_;
  size_t literal_at_ = 0;  ///< what is looked at, and makes text of all
  std::vector<bool> escaped_{};
  std::vector<Group> groups_{};
};

/// The last call of what an edit replaces.
int64_t last_call_of(const std::string& when, const PromptCalls& calls) {
  const double value = prompt_number(when);
  const auto all = static_cast<double>(calls.calls);
  const bool share = when.find('.') != std::string::npos;
  const double counted =
      share ? (value - (calls.before ? 1 : 0)) * all : value - static_cast<double>(calls.before.value_or(0));
  return static_cast<int64_t>(std::clamp(counted, -1.0, all));  // cuts fractions off
}

void collect_ends(const EditTree& tree, const PromptCalls& calls, std::set<int64_t>& ends) {
  for (const EditNode& node : tree) {
    if (node.kind == EditNode::Kind::edit) {
      if (const int64_t last = last_call_of(node.when, calls); last >= 1) ends.insert(last);
    } else if (node.kind == EditNode::Kind::alternate) {
      for (int64_t call = 1; call <= calls.calls; ++call) ends.insert(call);
    }
    for (const EditTree& option : node.options) collect_ends(option, calls, ends);
  }
}

void append_at(const EditTree& tree, std::string_view text, const PromptCalls& calls, int64_t call, EditedText& out) {
  for (const EditNode& node : tree) {
    if (node.kind == EditNode::Kind::text) {
      for (size_t at = node.first; at < node.last; ++at) out.origin.push_back(at);
      out.text += text.substr(node.first, node.last - node.first);
    } else if (node.kind == EditNode::Kind::edit) {
      append_at(node.options[call <= last_call_of(node.when, calls) ? 0 : 1], text, calls, call, out);
    } else {
      append_at(node.options[static_cast<size_t>(call - 1) % node.options.size()], text, calls, call, out);
    }
  }
}

}  // namespace

EditTree parse_editing(std::string_view text, size_t first, size_t last, std::vector<PromptOddity>& oddities) {
  return EditingParser(text, first, last, oddities).parse();
}

std::vector<std::pair<int64_t, EditedText>> edited_versions(const EditTree& tree, std::string_view text,
                                                            const PromptCalls& calls) {
  std::set<int64_t> ends{calls.calls};
  collect_ends(tree, calls, ends);
  constexpr size_t most_bytes = size_t{16} << 20;
  if (ends.size() * text.size() > most_bytes) {
    throw PromptSyntaxError{.reason = "too long to be edited at so many calls"};
  }
  std::vector<std::pair<int64_t, EditedText>> versions;
  for (const int64_t end : ends) append_at(tree, text, calls, end, versions.emplace_back(end, EditedText{}).second);
  return versions;
}

}  // namespace sdtorch
