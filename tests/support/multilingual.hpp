// The goldens of tokenizers with a sentencepiece vocabulary, put together as folders that transformers would read.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

/// What tests/golden/multilingual/cases.json says of each tokenizer.
const nlohmann::json& multilingual_cases();

/// A golden sentencepiece model as a file has it: its pieces, and the normalization that all of them share.
std::string sentencepiece_model(const std::string& name);

/// Fills a folder with a case's model and config.
void make_multilingual_tokenizer(const std::string& name, const std::filesystem::path& folder);

/// The same as transformers saves it: tokenizer.json alone holds the vocabulary, under the ids of the case.
void make_tokenizer_json(const std::string& name, const std::filesystem::path& folder);
