# Files of the text layer. They need utf8proc.
set(VIZOO_TEXT_SOURCES
  auto_tokenizer.cpp
  byte_pair_encoding.cpp
  byte_symbols.cpp
  clip_files.cpp
  clip_tokenizer.cpp
  clip_tokenizer_fast.cpp
  clip_words.cpp
  encode_fast.cpp
  encode_plan.cpp
  encode_slow.cpp
  fast_added_tokens.cpp
  normalization.cpp
  perceiver_tokenizer.cpp
  python_text.cpp
  slow_added_tokens.cpp
  slow_special_tokens.cpp
  tokenizer.cpp
  tokenizer_files.cpp
  unicode.cpp
  vocabulary.cpp)
set(VIZOO_TEXT_HEADERS
  added_token.h
  auto_tokenizer.h
  batch_encoding.h
  clip_tokenizer.h
  perceiver_tokenizer.h
  tokenizer.h
  tokenizer_options.h)
find_path(VIZOO_UTF8PROC_INCLUDE_DIR utf8proc.h REQUIRED)
find_library(VIZOO_UTF8PROC_LIBRARY utf8proc REQUIRED)
