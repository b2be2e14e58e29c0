#include "networks/transformers_config.hpp"

namespace sdtorch {

void ignore_what_changes_nothing(ConfigReader& config) {
  // Training, and how the weights were made and stored.
  config.ignore({"attention_dropout", "dropout", "initializer_factor", "initializer_range", "gradient_checkpointing",
                 "architectures", "model_type", "torch_dtype", "dtype", "transformers_version", "use_bfloat16",
                 "torchscript", "tf_legacy_loss", "name_or_path", "chunk_size_feed_forward"});
  // What the forward pass returns besides the hidden state.
  config.ignore({"return_dict", "output_attentions", "output_hidden_states", "use_cache", "tie_word_embeddings",
                 "tie_encoder_decoder", "is_encoder_decoder", "cross_attention_hidden_size"});
  // Tokens: the tokenizer's own files decide.
  config.ignore(
      {"bos_token_id", "pad_token_id", "sep_token_id", "decoder_start_token_id", "tokenizer_class", "prefix"});
  // Heads for other tasks.
  config.ignore({"finetuning_task", "id2label", "label2id", "num_labels", "problem_type", "task_specific_params"});
  // Text generation.
  config.ignore({"bad_words_ids",
                 "begin_suppress_tokens",
                 "diversity_penalty",
                 "do_sample",
                 "early_stopping",
                 "encoder_no_repeat_ngram_size",
                 "exponential_decay_length_penalty",
                 "forced_bos_token_id",
                 "forced_eos_token_id",
                 "length_penalty",
                 "max_length",
                 "min_length",
                 "no_repeat_ngram_size",
                 "num_beam_groups",
                 "num_beams",
                 "num_return_sequences",
                 "output_scores",
                 "remove_invalid_values",
                 "repetition_penalty",
                 "return_dict_in_generate",
                 "suppress_tokens",
                 "temperature",
                 "top_k",
                 "top_p",
                 "typical_p"});
}

}  // namespace sdtorch
