#include "jobs/gallery_page.hpp"

#include <fmt/format.h>

#include "core/utf8.hpp"
#include "io/base64.hpp"
#include "io/sha256.hpp"

namespace sdtorch {
namespace {

constexpr std::string_view page_begin =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"generator\" content=\"sdtorch gallery\">\n";

constexpr std::string_view page_style = R"(
:root { color-scheme: light dark; --ground: #f6f6f4; --card: #fff; --text: #1c1c1a; --dim: #6a6a66; --line: #dcdcd6;
  --mark: #2f6fb0; }
@media (prefers-color-scheme: dark) {
  :root { --ground: #161618; --card: #222226; --text: #ececea; --dim: #9c9c98; --line: #38383e; --mark: #7fb2e6; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); font: 15px/1.45 system-ui, sans-serif; }
header { position: sticky; top: 0; z-index: 1; display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: center;
  padding: 10px 20px; background: var(--ground); border-bottom: 1px solid var(--line); }
h1 { margin: 0; font-size: 18px; overflow-wrap: anywhere; }
.count { color: var(--dim); }
input { flex: 0 1 320px; margin-left: auto; padding: 6px 10px; font: inherit; color: inherit; background: var(--card);
  border: 1px solid var(--line); border-radius: 6px; }
main { display: grid; grid-auto-flow: dense; grid-template-columns: repeat(auto-fill, minmax(210px, 1fr)); gap: 14px; padding: 18px 20px; }
details { background: var(--card); border: 1px solid var(--line); border-radius: 8px; overflow: hidden; min-width: 0; }
details[hidden] { display: none; }
summary { display: block; cursor: pointer; list-style: none; }
summary::-webkit-details-marker { display: none; }
summary:focus-visible { outline: 2px solid var(--mark); outline-offset: -2px; }
summary img, .none { display: block; width: 100%; height: 210px; object-fit: contain;
  background: color-mix(in srgb, var(--line) 40%, transparent); }
.none { padding: 60px 16px; text-align: center; color: var(--dim); overflow-wrap: anywhere; }
.caption { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 2; overflow: hidden;
  margin: 8px 10px; overflow-wrap: anywhere; unicode-bidi: isolate; }
.caption.nothing { color: var(--dim); }
details[open] { grid-column: 1 / -1; display: flow-root; border-color: var(--mark); }
details[open] summary img { float: left; width: min(512px, 50%); height: auto; margin: 14px; border-radius: 4px; }
details[open] .caption { display: none; }
.facts { padding: 14px; overflow: hidden; min-width: 240px; }
.facts h2 { margin: 0 0 2px; font-size: 12px; font-weight: 600; color: var(--dim); }
.facts p { margin: 0 0 12px; white-space: pre-wrap; overflow-wrap: anywhere; unicode-bidi: isolate; }
table { border-collapse: collapse; margin-bottom: 12px; }
th { padding: 1px 14px 1px 0; text-align: left; vertical-align: top; font-weight: normal; color: var(--dim); }
td { padding: 1px 0; overflow-wrap: anywhere; white-space: pre-wrap; unicode-bidi: isolate; }
a { color: var(--mark); overflow-wrap: anywhere; }
@media (max-width: 640px) { details[open] summary img { float: none; width: calc(100% - 28px); } }
)";

// Shows the pictures whose texts hold every word that was typed, or that the address has behind a #.
constexpr std::string_view script = R"(
"use strict";
const pictures = [...document.querySelectorAll("details")];
const texts = pictures.map((picture) => picture.textContent.toLowerCase());
const field = document.querySelector("input"), count = document.querySelector(".count");
const filter = () => {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  pictures.forEach((picture, i) => {
    picture.hidden = !words.every((word) => texts[i].includes(word));
    shown += !picture.hidden;
  });
  count.textContent = words.length ? `${shown} of ${pictures.length}` : count.dataset.all;
};
const words_of_address = () => {
  try { return decodeURIComponent(location.hash.slice(1)); } catch { return ""; }
};
field.hidden = false;
field.value = words_of_address();
addEventListener("hashchange", () => { field.value = words_of_address(); filter(); });
field.addEventListener("input", filter);
filter();
)";

/// What a policy names text by that may run.
std::string policy_hash(std::string_view text) {
  const std::string hex = sha256(std::as_bytes(std::span(text.data(), text.size())));
  std::vector<std::byte> digest;
  for (size_t i = 0; i < hex.size(); i += 2) {
    digest.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  }
  return "'sha256-" + base64(digest) + "'";
}

std::string paragraph(std::string_view heading, std::string_view text) {
  if (text.empty()) return "";
  return fmt::format("<h2>{}</h2><p dir=\"auto\">{}</p>\n", heading, html_text(text));
}

std::string table(const PictureFacts& facts) {
  std::string rows;
  for (const auto& [name, value] : facts.parameters) {
    rows += fmt::format("<tr><th>{}<td>{}\n", html_text(name), html_text(value));
  }
  return rows.empty() ? "" : "<table>\n" + rows + "</table>\n";
}

}  // namespace

std::string html_text(std::string_view text) {
  std::string escaped;
  for (const char c : harmless(text)) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string link_text(const std::string& path) {
  std::string link;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                       c == '_' || c == '.' || c == '~' || c == '/';
    link += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return link;
}

std::string_view gallery_begin() { return page_begin; }

std::string gallery_head(std::string_view title, size_t pictures) {
  const std::string count = fmt::format("{} picture{}", pictures, pictures == 1 ? "" : "s");
  return fmt::format(
      "{}<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; style-src {}; "
      "script-src {}; base-uri 'none'; form-action 'none'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n"
      "<style>{}</style>\n<header><h1>{}</h1><span class=\"count\" data-all=\"{}\">{}</span>"
      "<input type=\"search\" placeholder=\"words of prompts and parameters\" aria-label=\"filter\" hidden></header>\n"
      "<main>\n",
      page_begin, policy_hash(page_style), policy_hash(script), html_text(title), page_style, html_text(title), count,
      count);
}

std::string gallery_entry(const GalleryEntry& entry) {
  const std::string name = html_text(entry.name);
  const std::string& prompt = entry.facts.prompt;
  const std::string picture =
      entry.problem.empty()
          ? fmt::format(
                "<img src=\"data:image/webp;base64,{}\" width=\"{}\" height=\"{}\" alt=\"{}\" loading=\"lazy\">",
                entry.small, entry.small_width, entry.small_height, name)
          : fmt::format("<span class=\"none\">{}</span>", html_text(entry.problem));
  std::string size;
  if (entry.width > 0) size = fmt::format(", {} × {} pixels", entry.width, entry.height);
  return fmt::format(
      "<details><summary>{}<span class=\"caption{}\" dir=\"auto\">{}</span></summary>\n"
      "<div class=\"facts\">\n{}{}{}<a href=\"{}\">{}</a>{}</div></details>\n",
      picture, prompt.empty() ? " nothing" : "", prompt.empty() ? name : html_text(prompt), paragraph("Prompt", prompt),
      paragraph("Negative prompt", entry.facts.negative_prompt), table(entry.facts), link_text(entry.link), name, size);
}

std::string gallery_foot() { return fmt::format("</main>\n<script>{}</script>\n</html>\n", script); }

}  // namespace sdtorch
