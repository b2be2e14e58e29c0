#include "cli/options.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <type_traits>

#include "cli/extract_lora.hpp"
#include "cli/flags.hpp"
#include "cli/model_commands.hpp"
#include "cli/seeing.hpp"
#include "core/error.hpp"
#include "core/number.hpp"
#include "core/suggest.hpp"
#include "diffusion/sampler.hpp"
#include "jobs/devices.hpp"
#include "jobs/given_flags.hpp"
#include "jobs/output_names.hpp"
#include "pipeline/metadata.hpp"
#include "pipeline/settings.hpp"
#include "sdtorch/version.hpp"

namespace sdtorch {
namespace {

constexpr int most_threads = 1024;
constexpr std::string_view bench_prompt = "a lake between mountains at sunset";

std::string picked(const std::string& flag, const std::string& text, const std::vector<std::string>& choices) {
  std::string lower = ascii_lower(text);
  check_choice(flag, lower, choices);
  return lower;
}

void choose_ending(Invocation& invocation, const std::string& flag, bool keep_going) {
  if (invocation.keep_going == !keep_going) {
    refuse(flag, "does not go with " + std::string(keep_going ? "--fail-fast" : "--keep-going"));
  }
  invocation.keep_going = keep_going;
}

std::string filled(const std::string& flag, const std::string& text) {
  if (text.empty()) refuse(flag, "is empty");
  return text;
}

/// What the flags said, before it becomes an Invocation: the settings wait for --from-image.
struct Reading {
  Invocation invocation{};
  std::vector<GivenFlag> overrides{};
  std::vector<std::string> sweeps{};
  std::string from_image{};
  bool quiet = false, verbose = false;

  bool has(std::string_view name) const {
    return std::any_of(overrides.begin(), overrides.end(), [&](const auto& o) { return o.setting->name == name; });
  }
  bool says(std::string_view name, std::string_view text) const {
    return std::any_of(overrides.begin(), overrides.end(),
                       [&](const auto& o) { return o.setting->name == name && o.text == text; });
  }
};

using Apply = decltype(Flag::apply);

/// Keeps the value for the setting of that name.
Apply to_setting(Reading& reading, const Setting& setting) {
  return [&reading, &setting](const std::string& flag, const std::string& text) {
    check_filled(setting, flag, text);
    reading.overrides.push_back({.setting = &setting, .flag = flag, .text = text});
  };
}

Apply to_switch(bool& target) {
  return [&target](const std::string&, const std::string&) { target = true; };
}

Apply to_path(std::filesystem::path& target) {
  return [&target](const std::string& flag, const std::string& text) { target = filled(flag, text); };
}

Apply to_threads(int& target) {
  return [&target](const std::string& flag, const std::string& text) {
    const auto number = parse_int(text);
    if (!number || *number < 1 || *number > most_threads) {
      refuse(flag, fmt::format("must be 1…{}, is '{}'", most_threads, text));
    }
    target = static_cast<int>(*number);
  };
}

FlagGroup setting_group(Reading& r, SettingGroup group, const char* title) {
  FlagGroup flags{title, {}};
  for (const Setting& setting : settings()) {
    if (setting.group != group) continue;
    flags.flags.push_back({std::string(setting.flags), std::string(setting.value), setting.help, to_setting(r, setting),
                           setting.repeated});
  }
  return flags;
}

std::vector<FlagGroup> setting_groups(Reading& r) {
  std::vector<FlagGroup> groups{setting_group(r, SettingGroup::picture, "Picture"),
                                setting_group(r, SettingGroup::input, "Input picture"),
                                setting_group(r, SettingGroup::guidance, "Guidance"),
                                setting_group(r, SettingGroup::sampling, "Sampling"),
                                setting_group(r, SettingGroup::elsewhere, "The same seed as elsewhere"),
                                setting_group(r, SettingGroup::shortcuts, "Faster, and another picture"),
                                setting_group(r, SettingGroup::model, "Model"),
                                setting_group(r, SettingGroup::machine, "Machine")};
  groups.front().flags.push_back(
      {"--from-image", "FILE.png", "take the request from a picture's metadata, other tools' too; flags override it",
       [&r](const std::string& flag, const std::string& text) { r.from_image = filled(flag, text); }});
  groups.back().flags.push_back(
      {"-t, --threads", "N", "CPU threads; default: LibTorch's choice", to_threads(r.invocation.threads)});
  return groups;
}

FlagGroup general_group(Reading& r, bool logs) {
  FlagGroup group{"General", {}};
  if (logs) {
    group.flags = {{"-q, --quiet", "", "only results, warnings and errors", to_switch(r.quiet)},
                   {"-v, --verbose", "", "details too", to_switch(r.verbose)}};
  }
  group.flags.push_back({"-h, --help", "", "this text", [](const std::string&, const std::string&) {}});
  return group;
}

constexpr const char* generate_footer =
    R"(Commands (sdtorch COMMAND --help tells more):
  inspect PATH            what a PNG says of itself, what a model is
  tokenize TEXT           a prompt's token ids, pieces and chunks
  extract-lora A B -o OUT what B has over A, as a LoRA
  convert MODEL OUT       a model as a folder or a single file, in another type
  merge A B [C] -o OUT    a sum of models; adapters baked in
  init-model PATH         write a model of random weights, for tests
  gallery DIR             a page of a folder's pictures
  verify DIR              whether a folder holds what a prompt file asks for
  bench                   time and memory of each stage

Fields of --name: {index}, {index:05}, {seed}, {slug} (from the prompt),
{sampler}, {steps}, {cfg}, {width}, {height}, {model}.

Paths of written pictures go to stdout, everything else to stderr.
Exit codes: 0 done, 1 a bug, 2 usage, 3 some jobs failed, 4 model files,
5 input picture or prompt file, 6 output, 7 out of memory, 8 non-finite
numbers, 11 folder in use, 130 and 143 interrupted.

Example:
  sdtorch -p "a pirate ship near a paradise beach" -o ship.png
)";

/// Where many prompts come from.
void add_prompt_file(Reading& r, FlagGroup& group) {
  Invocation& i = r.invocation;
  group.flags.push_back(
      {"--from-file", "FILE",
       "many prompts: .txt, one a line, with flags behind it where it has its own (A1111's and kohya's files, too), "
       ".jsonl, an object of long flag names a line, or .csv, a table with such names in its first row; # starts a "
       "comment; - reads standard input, by its content",
       [&i](const std::string& flag, const std::string& text) { i.from_file = filled(flag, text); }});
  group.flags.push_back({"--from-file-format", "NAME",
                         "txt, jsonl, csv, a1111, kohya: which of them that file is, whatever it looks like",
                         [&i](const std::string& flag, const std::string& text) {
                           const std::vector<std::string> names(prompt_format_names.begin(), prompt_format_names.end());
                           i.from_file_format = static_cast<PromptFormat>(
                               std::ranges::find(names, picked(flag, text, names)) - names.begin());
                         }});
  group.flags.push_back(
      {"--sweep", "NAME=A,B",
       "every job once for each combination of the values, as \"cfg=5,7.5 sampler=euler,dpm++2m\"; names are flags "
       "that a line of a prompt file may have; values with commas or blanks stand in quotes; the last name varies "
       "fastest",
       [&r](const std::string& flag, const std::string& text) { r.sweeps.push_back(filled(flag, text)); }, true});
  group.flags.push_back(
      {"--wildcards", "DIR",
       "__NAME__ in prompts stands for a line of NAME.txt there, chosen by the picture's seed; DIR/SUB/NAME.txt is "
       "__SUB/NAME__",
       [&i](const std::string& flag, const std::string& text) {
         i.expansion.wildcards = std::make_shared<Wildcards>(filled(flag, text));
       }});
}

CommandSpec generate_spec(Reading& r) {
  Invocation& i = r.invocation;
  CommandSpec spec{"sdtorch -p TEXT [FLAGS]", "Draws a picture from a text with Stable Diffusion.", setting_groups(r),
                   generate_footer};
  add_prompt_file(r, spec.groups.front());
  FlagGroup output = {
      "Output",
      {{"-o, --output", "FILE.png", "one picture's file; replaced if it exists and no journal tells of it",
        to_path(i.output.output)},
       {"--outdir", "DIR", "folder, made if missing (the current one)", to_path(i.output.outdir)},
       {"--name", "TEMPLATE", fmt::format("names in the folder ({})", default_name_template),
        [&i](const std::string& flag, const std::string& text) { i.output.name = filled(flag, text); }},
       {"--save-steps", "DIR", "the predicted picture after each step: step-000.png …, and steps.webp",
        to_path(i.output.save_steps)},
       {"--shard", "I/N",
        "draw a share of the prompt file's pictures, every N-th from I = 0…N-1 on; auto: as Slurm or Kubernetes says. "
        "Goes on where its share was left",
        [&i](const std::string& flag, const std::string& text) { i.shard = filled(flag, text); }},
       {"--resume", "", "draw what the folder's journal of the same prompt file lacks", to_switch(i.resume)},
       {"--wait", "", "wait while another run works in the folder, instead of leaving with exit code 11",
        to_switch(i.wait)},
       {"--keep-going", "", "tell what cannot be drawn, and draw the rest: the default with --from-file",
        [&i](const std::string& flag, const std::string&) { choose_ending(i, flag, true); }},
       {"--fail-fast", "", "end at the first picture that cannot be drawn",
        [&i](const std::string& flag, const std::string&) { choose_ending(i, flag, false); }},
       {"--dump", "FILE.safetensors", "every stage's tensors", to_path(i.output.dump)},
       {"--json", "", "results as one JSON object a line; progress likewise, on stderr", to_switch(i.json)}}};
  const std::vector<Flag> seeing = seeing_flags(i.seeing, i.output);
  output.flags.insert(output.flags.end() - 1, seeing.begin(), seeing.end());
  spec.groups.push_back(std::move(output));
  FlagGroup general = general_group(r, true);
  general.flags.insert(general.flags.begin(),
                       {"--dry-run", "", "check everything, load no weights, write nothing", to_switch(i.dry_run)});
  general.flags.push_back({"--version", "", "versions of sdtorch and LibTorch, CPU capability, CUDA",
                           [&i](const std::string&, const std::string&) { i.command = Command::print; }});
  spec.groups.push_back(std::move(general));
  return spec;
}

CommandSpec bench_spec(Reading& r) {
  CommandSpec spec{"sdtorch bench [FLAGS]", "Prints the time and the peak memory of each stage of one run.",
                   setting_groups(r), ""};
  Invocation& i = r.invocation;
  spec.groups.push_back(
      {"Output",
       {{"--json", "", "one JSON object on a line", to_switch(i.json)},
        {"--profile", "",
         "what each kind of layer costs in a step and in the VAE, and how near a step comes to this machine's own rate "
         "on its matrix products, which is measured after the run",
         to_switch(i.profile)},
        {"--by-turns", "",
         "for comparisons step by step: one JSON object a part, and a line from standard input before the next; draws "
         "again until that ends, and then prints the first picture's result",
         to_switch(i.by_turns)}}});
  spec.groups.push_back(general_group(r, true));
  return spec;
}

CommandSpec verify_command_spec(Reading& r) {
  Invocation& i = r.invocation;
  CommandSpec spec{
      "sdtorch verify DIR [--from-file FILE] [FLAGS]",
      "Tells whether a folder holds what its journal says and, where one is given, what a prompt file asks "
      "for with the folder's own settings and these: each picture present, whole, with the right "
      "parameters. The exit code is 0, or 3 where one is not.",
      setting_groups(r), ""};
  spec.groups.insert(spec.groups.begin(), verify_flags(i.verify));
  add_prompt_file(r, spec.groups[1]);
  spec.groups.push_back(general_group(r, true));
  return spec;
}

CommandSpec extract_lora_command_spec(Reading& r) {
  return extract_lora_spec(r.invocation.extract_lora, general_group(r, true));
}

CommandSpec convert_command_spec(Reading& r) { return convert_spec(r.invocation.convert, general_group(r, true)); }

CommandSpec inspect_command_spec(Reading& r) { return inspect_spec(r.invocation.inspect, general_group(r, false)); }

CommandSpec tokenize_command_spec(Reading& r) { return tokenize_spec(r.invocation.tokenize, general_group(r, false)); }

CommandSpec init_model_command_spec(Reading& r) {
  return init_model_spec(r.invocation.init_model, general_group(r, false));
}

CommandSpec merge_command_spec(Reading& r) { return merge_spec(r.invocation.merge, general_group(r, true)); }

CommandSpec gallery_command_spec(Reading& r) {
  return gallery_spec(r.invocation.seeing.gallery.emplace(), general_group(r, true));
}

struct CommandEntry {
  std::string_view name;
  Command command;
  CommandSpec (*spec)(Reading&);
};

constexpr std::array<CommandEntry, 9> commands = {{
    {"inspect", Command::inspect, inspect_command_spec},
    {"tokenize", Command::tokenize, tokenize_command_spec},
    {"convert", Command::convert, convert_command_spec},
    {"merge", Command::merge, merge_command_spec},
    {"extract-lora", Command::extract_lora, extract_lora_command_spec},
    {"init-model", Command::init_model, init_model_command_spec},
    {"bench", Command::bench, bench_spec},
    {"gallery", Command::gallery, gallery_command_spec},
    {"verify", Command::verify, verify_command_spec},
}};

/// The command that the first argument names; a mistyped one is told from a forgotten --prompt by its likeness.
const CommandEntry* find_command(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments.front().starts_with('-')) return nullptr;
  std::vector<std::string> names;
  for (const CommandEntry& entry : commands) {
    if (entry.name == arguments.front()) return &entry;
    names.emplace_back(entry.name);
  }
  const std::string near = nearest(arguments.front(), names);
  refuse(fmt::format("'{}'", arguments.front()), "unknown command",
         near.empty() ? "a prompt is given by --prompt; see --help" : fmt::format("did you mean {}?", near));
}

/// Of several devices, the first one is the settings' own.
void take_devices(Invocation& invocation) {
  std::vector<std::string> devices = split_devices(invocation.settings.device);
  const bool all = devices.front() == all_devices;
  invocation.settings.device = all ? "cuda:0" : devices.front();
  if (!all && devices.size() == 1) return;
  if (invocation.from_file == "-") {
    refuse("--device", "what draws standard input's lines is one process, on one device", "start one for each device");
  }
  invocation.devices = std::move(devices);
}

void finish_settings(Reading& r) {
  Invocation& i = r.invocation;
  std::string lora_dir;
  for (const auto& given : r.overrides) lora_dir = given.setting->name == "lora-dir" ? given.text : lora_dir;
  if (!r.from_image.empty()) i.settings = settings_from_picture(r.from_image, lora_dir);
  forget_replaced(i.settings, r.overrides);
  apply_flags(i.settings, r.overrides);
  i.given = i.expansion.sweep.names();
  for (const auto& override : r.overrides) i.given.emplace_back(override.setting->name);
  i.from_image = r.from_image;
  if (!r.from_image.empty()) leave_unused(i.settings, i.given, r.from_image);
  const auto is_drawn = [&](std::string_view name) {
    return std::ranges::any_of(r.overrides, [&](const auto& o) { return o.setting->name == name && o.text == "-1"; });
  };
  i.drawn = {.seed = is_drawn("seed"), .variation_seed = is_drawn("variation-seed")};
  if (i.command == Command::bench && !r.has("prompt") && r.from_image.empty()) i.settings.prompt = bench_prompt;
  if (i.command != Command::bench) take_devices(i);
  if (i.from_file || !i.expansion.sweep.empty()) return check_defaults(i.settings);  // others have the last word
  i.settings.validate();
  for (const std::string& line : i.settings.warnings()) log_warning(line);
}

bool draws_nothing(const Reading& r) {
  const Invocation& i = r.invocation;
  return !i.from_file && !r.has("prompt") && r.from_image.empty() && !i.expansion.sweep.gives("prompt");
}

void check_prompt_source(const Reading& r) {
  const bool from_file = r.invocation.from_file.has_value();
  if (!from_file && r.invocation.from_file_format) refuse("--from-file-format", "there is no --from-file");
  if (from_file && r.has("prompt")) refuse("--from-file", "does not go with --prompt", "leave one of them out");
  for (const char* picture : {"init-img", "control-image", "depth-img", "ip-image"}) {
    if (r.invocation.from_file == "-" && r.says(picture, "-")) {
      refuse(fmt::format("--{}", picture), "standard input holds the prompts already");
    }
  }
  if (draws_nothing(r)) {
    refuse("--prompt", "nothing to draw", "give --prompt TEXT, --from-file FILE or --from-image FILE.png; see --help");
  }
}

void check_output(const Reading& r) {
  const Invocation& i = r.invocation;
  const OutputOptions& output = i.output;
  const bool several = i.settings.batch_count > 1;
  if (!output.output.empty()) {
    if (!output.outdir.empty()) refuse("--output", "does not go with --outdir", "leave one of them out");
    if (!output.name.empty()) refuse("--output", "does not go with --name", "leave one of them out");
    if (ascii_lower(output.output.extension().string()) != ".png") {
      refuse("--output", fmt::format("'{}' does not end in .png", output.output.string()), "pictures are PNG files");
    }
    if (several) refuse("--output", "is one file for several pictures", "give --outdir DIR");
  }
  check_seeing(i.seeing, output);
  if (!output.name.empty()) NameTemplate{output.name};
  if (!output.dump.empty() && ascii_lower(output.dump.extension().string()) != ".safetensors") {
    refuse("--dump", fmt::format("'{}' does not end in .safetensors", output.dump.string()));
  }
}

LogLevel chosen_log_level(const Reading& r) {
  if (r.quiet && r.verbose) refuse("--quiet", "does not go with --verbose", "leave one of them out");
  return r.quiet ? LogLevel::quiet : r.verbose ? LogLevel::verbose : LogLevel::normal;
}

void finish(Reading& r) {
  Invocation& i = r.invocation;
  i.log_level = chosen_log_level(r);
  pair_control_nets(r.overrides);
  i.expansion.sweep = Sweep(r.sweeps);
  switch (i.command) {
    case Command::print:
      i.text = version_text() + "\n";
      break;
    case Command::generate:
      if (i.seeing.gallery && draws_nothing(r)) {
        i.command = Command::gallery;
        i.seeing.gallery->folder = i.output.outdir.empty() ? "." : i.output.outdir;
        break;
      }
      check_prompt_source(r);
      finish_settings(r);
      check_output(r);
      break;
    case Command::bench:
      finish_settings(r);
      break;
    case Command::verify:
      if (i.verify.folder.empty()) refuse("DIR", "the folder to look at is missing", "see sdtorch verify --help");
      finish_settings(r);
      break;
    case Command::inspect:
      if (i.inspect.path.empty()) refuse("PATH", "what to inspect is missing", "see sdtorch inspect --help");
      break;
    case Command::tokenize:
      if (i.tokenize.texts.empty()) refuse("TEXT", "what to tokenize is missing", "see sdtorch tokenize --help");
      break;
    case Command::init_model:
      if (i.init_model.target.empty()) refuse("PATH", "what to make is missing", "see sdtorch init-model --help");
      break;
    case Command::extract_lora:
      check_extract_lora(i.extract_lora);
      break;
    case Command::convert:
      check_convert(i.convert);
      break;
    case Command::merge:
      check_merge(i.merge);
      break;
    case Command::gallery:
      if (i.seeing.gallery->folder.empty())
        refuse("DIR", "the folder of pictures is missing", "see sdtorch gallery --help");
      break;
  }
}

}  // namespace

Invocation parse_command_line(int argc, const char* const* argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  Reading reading;
  const CommandEntry* entry = find_command(arguments);
  if (entry) arguments.erase(arguments.begin());
  reading.invocation.command = entry ? entry->command : Command::generate;
  const CommandSpec spec = entry ? entry->spec(reading) : generate_spec(reading);
  if (!parse_flags(spec, arguments)) {
    reading.invocation.command = Command::print;
    reading.invocation.text = help_text(spec);
  } else {
    finish(reading);
  }
  return reading.invocation;
}

}  // namespace sdtorch
