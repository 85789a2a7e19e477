#include "vizoo/vision/processor_json.h"

#include <algorithm>

#include "vizoo/vision/image_processor.h"

namespace vizoo {
namespace detail {
namespace {

Json size_to_dict(const Json& value, const std::string& subject, bool square) {
  if (value.is_object()) return value;
  if (value.is_number_integer()) return Json(size_dict(value.get<int64_t>(), square));
  if (value.is_array() && value.size() == 2 && value[0].is_number_integer() &&
      value[1].is_number_integer()) {
    return Json{{"height", value[0]}, {"width", value[1]}};
  }
  throw ConfigError(
      "processor", subject, "a number, [height, width] or an object", describe_json(value));
}

bool same_value(const Json& attribute, const Json& loaded) {
  if (attribute == loaded) return true;
  // A list of one stands for a plain number.
  return attribute.is_array() && attribute.size() == 1 && attribute[0] == loaded;
}

}  // namespace

void upgrade_size(Json& json, const std::string& key, const std::string& source, bool square) {
  const auto found = json.find(key);
  if (found == json.end() || found->is_null()) return;
  *found = size_to_dict(*found, source + ": /" + key, square);
}

void upgrade_processor_json(Json& json, const std::string& source, bool square_sizes) {
  if (!json.is_object()) {
    throw ConfigError("processor", source, "a JSON object", describe_json(json));
  }
  json.erase("image_processor_type");
  json.erase("feature_extractor_type");
  for (const char* key : {"size", "crop_size", "crop_pct", "image_mean", "image_std"}) {
    const auto found = json.find(key);
    if (found != json.end() && found->is_null()) json.erase(found);
  }
  upgrade_size(json, "size", source, square_sizes);
  upgrade_size(json, "crop_size", source, /*square=*/true);
  for (const char* key : {"image_mean", "image_std"}) {
    const auto found = json.find(key);
    if (found != json.end() && found->is_number()) *found = Json::array({*found});
  }
}

Json restore_forms(Json attributes, const Json& loaded) {
  for (auto& [key, value] : attributes.get_ref<Json::object_t&>()) {
    const auto found = loaded.find(key);
    if (found != loaded.end() && same_value(value, *found)) value = *found;
  }
  return attributes;
}

Json without_absent(Json attributes,
                    const std::string& loaded_json,
                    const std::vector<std::string>& names) {
  const Json loaded = parse_json(loaded_json, "loaded values");
  for (const std::string& name : names) {
    const auto found = attributes.find(name);
    if (found != attributes.end() && found->is_null() && !loaded.contains(name)) {
      attributes.erase(found);
    }
  }
  return attributes;
}

std::string join_names(std::vector<std::string> names) {
  std::sort(names.begin(), names.end());
  std::string text;
  for (const std::string& name : names) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

namespace {

// The arguments of a call in the shape of a config, so that the same reader serves them.
struct OptionsConfig {
  std::optional<bool> do_resize;
  std::optional<SizeDict> size;
  std::optional<int64_t> resample;
  std::optional<double> crop_pct;
  std::optional<bool> do_center_crop;
  std::optional<SizeDict> crop_size;
  std::optional<bool> do_rescale;
  std::optional<double> rescale_factor;
  std::optional<bool> do_normalize;
  std::optional<std::vector<double>> image_mean;
  std::optional<std::vector<double>> image_std;
  std::optional<ChannelDimension> data_format;
  std::optional<ChannelDimension> input_data_format;
  std::optional<ReturnForm> return_form;
  std::optional<bool> do_convert_rgb;
  std::optional<bool> do_pad;
  std::optional<SizeDict> pad_size;
  std::optional<double> pad_value;
  std::optional<std::string> device;
  std::optional<bool> disable_grouping;
  std::optional<bool> default_to_square;
  std::optional<int64_t> image_seq_length;

  template <class Self, class Visitor>
  static void fields(Self& self, Visitor&& visit) {
    visit("do_resize", self.do_resize);
    visit("size", self.size);
    visit("resample", self.resample);
    visit("crop_pct", self.crop_pct);
    visit("do_center_crop", self.do_center_crop);
    visit("crop_size", self.crop_size);
    visit("do_rescale", self.do_rescale);
    visit("rescale_factor", self.rescale_factor);
    visit("do_normalize", self.do_normalize);
    visit("image_mean", self.image_mean);
    visit("image_std", self.image_std);
    visit("data_format", self.data_format);
    visit("input_data_format", self.input_data_format);
    visit("return_form", self.return_form);
    visit("do_convert_rgb", self.do_convert_rgb);
    visit("do_pad", self.do_pad);
    visit("pad_size", self.pad_size);
    visit("pad_value", self.pad_value);
    visit("device", self.device);
    visit("disable_grouping", self.disable_grouping);
    visit("default_to_square", self.default_to_square);
    visit("image_seq_length", self.image_seq_length);
  }
};

at::Device device_from_name(const std::string& name, const std::string& subject) {
  // c10's own parser takes more, and its errors have many lines.
  const bool indexed = name.rfind("cuda:", 0) == 0 && name.size() > 5 && name.size() < 8 &&
                       name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name == "cpu") return at::kCPU;
  if (name == "cuda") return at::kCUDA;
  if (!indexed) throw ConfigError("processor", subject, "cpu, cuda or cuda:N", quote(name));
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(std::stoi(name.substr(5))));
}

}  // namespace

Resample resample_from_integer(int64_t value, const std::string& subject) {
  if (value < 0 || value > 5) {
    throw ConfigError("processor",
                      subject,
                      "0 (nearest), 1 (lanczos), 2 (bilinear), 3 (bicubic), 4 (box) or 5 (hamming)",
                      std::to_string(value));
  }
  return static_cast<Resample>(value);
}

}  // namespace detail

PreprocessOptions preprocess_options_from_json(const std::map<std::string, std::string>& values,
                                               bool square_sizes) {
  const std::string source = "options";
  const std::vector<std::string> names = detail::field_names<detail::OptionsConfig>();
  Json json = Json::object();
  for (const auto& [key, text] : values) {
    if (std::find(names.begin(), names.end(), key) == names.end()) {
      throw ConfigError("processor", source, "one of " + detail::join_names(names), quote(key));
    }
    json[key] = detail::as_processor_error(
        [&, name = key, value = text] { return parse_json(value, source + ": /" + name); });
  }
  const Json square = json.value("default_to_square", Json());
  const auto config = detail::processor_config_from_json<detail::OptionsConfig>(
      json, source, square.is_boolean() ? square.get<bool>() : square_sizes);
  PreprocessOptions options;
  options.do_resize(config.do_resize).size(config.size).crop_pct(config.crop_pct);
  options.do_center_crop(config.do_center_crop).crop_size(config.crop_size);
  options.do_rescale(config.do_rescale).rescale_factor(config.rescale_factor);
  options.do_normalize(config.do_normalize);
  options.image_mean(config.image_mean).image_std(config.image_std);
  options.input_data_format(config.input_data_format);
  options.do_convert_rgb(config.do_convert_rgb).do_pad(config.do_pad).pad_size(config.pad_size);
  options.pad_value(config.pad_value);
  options.disable_grouping(config.disable_grouping);
  if (config.device) {
    options.device(detail::device_from_name(*config.device, source + ": /device"));
  }
  if (config.resample) {
    options.resample(detail::resample_from_integer(*config.resample, source + ": /resample"));
  }
  if (config.data_format) options.data_format(*config.data_format);
  if (config.return_form) options.return_form(*config.return_form);
  return options;
}

}  // namespace vizoo
