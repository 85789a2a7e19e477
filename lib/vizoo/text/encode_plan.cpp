#include <algorithm>

#include "vizoo/core/error.h"
#include "vizoo/text/encode_rows.h"

namespace vizoo {
namespace {

[[noreturn]] void refuse(std::string_view subject,
                         std::string_view expected,
                         std::string_view got,
                         std::string_view hint = {}) {
  throw UsageError("usage", subject, expected, got, hint);
}

void check_range(const char* name, int64_t value, int64_t least) {
  if (value < least) {
    refuse(name, "at least " + std::to_string(least), std::to_string(value));
  }
}

void check_ranges(const EncodeOptions& options) {
  check_range("stride", options.stride, 0);
  if (options.max_length) check_range("max_length", *options.max_length, 0);
  if (options.pad_to_multiple_of) check_range("pad_to_multiple_of", *options.pad_to_multiple_of, 1);
}

bool names(const std::vector<std::string>& inputs, const char* name) {
  return std::find(inputs.begin(), inputs.end(), name) != inputs.end();
}

// Padding and truncation to the maximum length take the model's where none is given.
void take_model_length(const std::optional<int64_t>& model_max_length,
                       EncodePlan& plan,
                       std::vector<std::string>& warnings) {
  const bool pads = plan.padding == PaddingStrategy::max_length;
  const bool truncates = plan.truncation != TruncationStrategy::do_not_truncate;
  if (plan.max_length || !(pads || truncates)) return;
  if (model_max_length) {
    plan.max_length = model_max_length;
    return;
  }
  if (pads) {
    plan.padding = PaddingStrategy::do_not_pad;
    warnings.emplace_back("no padding: neither max_length nor the model's maximum length is given");
  }
  if (truncates) {
    plan.truncation = TruncationStrategy::do_not_truncate;
    warnings.emplace_back(
        "no truncation: neither max_length nor the model's maximum length is given");
  }
}

void check_padding(const Tokenizer& tokenizer, EncodePlan& plan) {
  if (plan.padding == PaddingStrategy::do_not_pad) return;
  const auto pad = tokenizer.pad_token_id();
  if (!pad) refuse("padding", "a tokenizer with a pad_token", "one without");
  plan.pad_token_id = *pad;
  const auto& multiple = plan.options.pad_to_multiple_of;
  if (plan.truncation != TruncationStrategy::do_not_truncate && multiple && plan.max_length &&
      *plan.max_length % *multiple != 0) {
    refuse("max_length",
           "a multiple of pad_to_multiple_of (" + std::to_string(*multiple) + ")",
           std::to_string(*plan.max_length),
           "Truncation and padding are both switched on");
  }
}

void check_slow(const EncodePlan& plan) {
  const auto& options = plan.options;
  if (options.return_offsets_mapping) {
    refuse("return_offsets_mapping",
           "a fast tokenizer",
           "a slow one, which knows no offsets",
           "Load one with use_fast, if the class has one");
  }
  if (options.return_token_type_ids.value_or(false) && !options.add_special_tokens) {
    refuse("return_token_type_ids",
           "add_special_tokens",
           "none",
           "Without special tokens a slow tokenizer has no token type ids");
  }
  if (options.return_overflowing_tokens && !plan.max_length) {
    refuse("return_overflowing_tokens", "a max_length", "none");
  }
}

}  // namespace

EncodePlan plan_encoding(const Tokenizer& tokenizer,
                         const EncodeOptions& options,
                         bool is_batch,
                         std::vector<std::string>& warnings) {
  check_ranges(options);
  const auto& settings = tokenizer.settings();
  EncodePlan plan;
  plan.options = options;
  plan.is_batch = is_batch;
  plan.padding_side = settings.padding_side;
  plan.truncation_side = settings.truncation_side;
  plan.attention_mask =
      options.return_attention_mask.value_or(names(settings.model_input_names, "attention_mask"));
  plan.token_type_ids =
      options.return_token_type_ids.value_or(names(settings.model_input_names, "token_type_ids"));
  plan.padding = options.padding.value_or(PaddingStrategy::do_not_pad);
  plan.truncation = options.truncation.value_or(options.max_length && !options.padding
                                                    ? TruncationStrategy::longest_first
                                                    : TruncationStrategy::do_not_truncate);
  plan.max_length = options.max_length;
  take_model_length(settings.model_max_length, plan, warnings);
  check_padding(tokenizer, plan);
  if (!tokenizer.is_fast()) check_slow(plan);
  return plan;
}

void check_encoded_size(std::size_t rows, std::size_t length, std::size_t tokens) {
  const auto limit = std::max(static_cast<std::size_t>(kMaxEncodedTokens), 2 * tokens);
  if (length != 0 && rows > limit / length) {
    refuse("max_length, stride",
           "at most " + std::to_string(limit) + " tokens in all rows",
           std::to_string(rows) + " rows of " + std::to_string(length));
  }
}

int64_t round_up(int64_t length, const std::optional<int64_t>& multiple) {
  if (!multiple || length % *multiple == 0) return length;
  // Too long a row is refused by check_encoded_size.
  if (length > kMaxEncodedTokens || *multiple > kMaxEncodedTokens) return kMaxEncodedTokens + 1;
  return (length / *multiple + 1) * *multiple;
}

}  // namespace vizoo
