"""Seeds of the corpus torch_checkpoint: files as torch.save writes them, and ones that lie.

Built byte by byte, since no library would write most of them. Needs no packages. What each of them
must give is in test/unit/io/torch_checkpoint_corpus_test.cpp.
"""

import struct
import zlib

FOLDER = "archive"


# ---- pickles ------------------------------------------------------------------------------------

def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def integer(value):
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -2**31 <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    size = (value.bit_length() + 8) // 8
    return b"\x8a" + bytes([size]) + value.to_bytes(size, "little", signed=True)


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def group(*items):
    return b"(" + b"".join(items) + b"t"


def sizes(values):
    return group(*map(integer, values))


ORDERED_DICT = name("collections", "OrderedDict") + b")R"
REBUILD = name("torch._utils", "_rebuild_tensor_v2")
FLOAT = name("torch", "FloatStorage")


def storage(kind=FLOAT, key="0", elements=6, location="cpu"):
    return group(text("storage"), kind, text(key), text(location), integer(elements)) + b"Q"


def tensor(shape=(2, 3), strides=(3, 1), offset=0, source=None, more=(), function=REBUILD):
    return function + group(source or storage(), integer(offset), sizes(shape), sizes(strides),
                            b"\x89", ORDERED_DICT, *more) + b"R"


def items(*pairs):
    return b"(" + b"".join((text(key) if isinstance(key, str) else key) + value
                           for key, value in pairs) + b"u"


def state(*pairs):
    return b"}" + items(*pairs)


def pickle(body):
    return b"\x80\x02" + body + b"."


# ---- archives -----------------------------------------------------------------------------------

class Entry:
    """One file of an archive; keyword arguments replace what its headers say."""

    def __init__(self, path, data=b"", **lies):
        self.path, self.data, self.lies = path.encode(), data, lies

    def local(self):
        lies = self.lies
        if "local_bytes" in lies:
            return lies["local_bytes"]
        path = lies.get("local_path", self.path)
        return struct.pack("<4sHHHHHIIIHH", lies.get("local_signature", b"PK\x03\x04"), 0,
                           lies.get("flags", 0), lies.get("local_method", lies.get("method", 0)),
                           0, 0, zlib.crc32(self.data), len(self.data), len(self.data), len(path),
                           0) + path + self.data

    def central(self, offset):
        lies = self.lies
        size = lies.get("size", len(self.data))
        extra = lies.get("extra", b"")
        comment = lies.get("comment", b"")
        return struct.pack("<4sHHHHHHIIIHHHHHII", b"PK\x01\x02", 0, 0, lies.get("flags", 0),
                           lies.get("method", 0), 0, 0, zlib.crc32(self.data),
                           lies.get("stored", size), size, len(self.path), len(extra),
                           len(comment), 0, 0, 0,
                           lies.get("offset", offset)) + self.path + extra + comment


def archive(entries, zip64=False, comment=b"", **lies):
    body, directory = b"", b""
    for entry in entries:
        directory += entry.central(len(body))
        body += entry.local()
    count = lies.get("count", len(entries))
    size = lies.get("size", len(directory))
    offset = lies.get("offset", len(body))
    end = b""
    if zip64:
        record = len(body) + len(directory)
        end = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", lies.get("size64", 44), 45, 45, 0, 0,
                          lies.get("count64", count), lies.get("count64", count), size,
                          lies.get("offset64", offset))
        end += struct.pack("<4sIQI", b"PK\x06\x07", 0, lies.get("record", record),
                           lies.get("disks", 1))
    end += struct.pack("<4sHHHHIIH", b"PK\x05\x06", lies.get("disk", 0), 0, count & 0xFFFF,
                       count & 0xFFFF, size, offset, len(comment)) + comment
    return body + directory + end


def saved(body, data=bytes(range(24)), more=(), **lies):
    """The file of a state dict whose storages are all `data`."""
    return archive([Entry(f"{FOLDER}/data.pkl", pickle(body)), Entry(f"{FOLDER}/data/0", data),
                    Entry(f"{FOLDER}/version", b"3\n"), *more], **lies)


def raw(content):
    return archive([Entry(f"{FOLDER}/data.pkl", content)])


def one(**arguments):
    return saved(state(("weight", tensor(**arguments))))


def replaced(index, entry, **lies):
    """The file `plain` with another entry."""
    entries = [Entry(f"{FOLDER}/data.pkl", pickle(state(("weight", tensor())))),
               Entry(f"{FOLDER}/data/0", bytes(24)), Entry(f"{FOLDER}/version", b"3\n")]
    entries[index] = entry
    return archive(entries, **lies)


def zip64_extra(*numbers):
    return struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers)


# Each tuple, or dict, holds the one before twice: 2^64 values for whoever follows them.
LAUGHS = b")q\x00" + b"".join(b"h" + bytes([i]) + b"\x86q" + bytes([i + 1]) for i in range(64))
DICT_LAUGHS = b"}q\x00" + b"".join(
    b"}q" + bytes([i + 1]) + items((integer(0), b"h" + bytes([i])), (integer(1), b"h" + bytes([i])))
    for i in range(64))
UNTYPED = name("torch.storage", "UntypedStorage")
REBUILD_V3 = name("torch._utils", "_rebuild_tensor_v3")
PARAMETER = name("torch._utils", "_rebuild_parameter")
TYPE_TAG = name("torch.jit._pickle", "restore_type_tag")
DATA = Entry(f"{FOLDER}/data/0", bytes(24))
OTHER_VALUES = (
    ("epoch", integer(3)), ("none", b"N"), ("flag", b"\x88"), ("rate", b"G" + struct.pack(">d", 0.1)),
    ("large", integer(2**70)), ("negative", integer(-2**40)), ("list", b"](" + b"K\x01" + b"Ne"),
    ("size", name("torch", "Size") + group(sizes((1, 2))) + b"R"),
    ("device", name("torch", "device") + group(text("cpu")) + b"R"),
    ("dtype", name("torch", "float32")), ("dict", state(("a", b"N"))))

GOOD = {
    "good_plain": one(),
    "good_ordered": saved(ORDERED_DICT + items(("weight", tensor())) + b"}" + text("_metadata")
                          + ORDERED_DICT + b"sb"),
    "good_empty": saved(b"}"),
    "good_nested": saved(state(("epoch", integer(3)), ("state_dict", state(("weight", tensor()))))),
    "good_nested_other": saved(state(("teacher", state(("weight", tensor()))),
                                     ("optimizer", state(("state", b"}"))))),
    "good_usual_wins": saved(state(("model_ema", state(("a", tensor()))),
                                   ("model", state(("weight", tensor()))))),
    "good_parameter": saved(state(("weight", PARAMETER + group(tensor(), b"\x88", ORDERED_DICT)
                                   + b"R"))),
    "good_tied": saved(state(("weight", tensor() + b"q\x00"), ("tied", b"h\x00"))),
    "good_shared_storage": saved(state(("a", tensor((3,), (1,))), ("b", tensor((3,), (1,), 3)))),
    "good_transposed": one(shape=(3, 2), strides=(1, 3)),
    "good_expanded": one(shape=(4, 3), strides=(0, 1)),
    "good_any_stride_of_one": one(shape=(1, 6), strides=(2**62, 1)),
    "good_scalar": one(shape=(), strides=(), offset=5),
    "good_no_elements": one(shape=(0, 7), strides=(7, 1), offset=6),
    "good_uint16": one(shape=(12,), strides=(1,), source=storage(UNTYPED, elements=24),
                       function=REBUILD_V3, more=(name("torch", "uint16"),)),
    "good_type_tag": saved(TYPE_TAG + group(state(("weight", tensor())),
                                            text("Dict[str, Tensor]")) + b"R"),
    "good_other_values": saved(state(*OTHER_VALUES, ("weight", tensor()))),
    "good_laughs_ignored": saved(state(("laughs", LAUGHS), ("weight", tensor()))),
    "good_self": saved(b"}q\x00" + items(("weight", tensor()), ("self", b"h\x00"))),
    "good_byteorder": saved(state(("weight", tensor())),
                            more=[Entry(f"{FOLDER}/byteorder", b"little")]),
    "good_zip64": saved(state(("weight", tensor())), zip64=True),
    "good_zip64_elsewhere": saved(state(("weight", tensor())), zip64=True, count=0xFFFF, count64=3),
    "good_zip64_entry": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), size=0xFFFFFFFF,
                                          extra=zip64_extra(24, 24)), zip64=True),
}

PICKLES = {
    # The like of three files of 247, 249 and 242 bytes which torch::pickle_load (1.13) answered with
    # 4.2 GB, with 2.2 GB and with a crash, and of one that it took for a dict.
    "memo_of_2_28": raw(pickle(b"}r" + struct.pack("<I", 2**28))),
    "string_of_2_31": raw(pickle(b"}X" + struct.pack("<I", 2**31 - 1) + b"ab")),
    "empty_stack": raw(pickle(b"R")),
    "odd_items": saved(b"}(" + text("weight") + tensor() + text("bias") + b"u"),
    "memo_of_2_32": raw(pickle(b"}r\xff\xff\xff\xff")),
    "memo_hole": raw(pickle(b"}q\x01")),
    "memo_unset": raw(pickle(b"h\x00")),
    "memo_unset_long": raw(pickle(b"j\xff\xff\xff\x7f")),
    "long4": raw(pickle(b"\x8b\xff\xff\xff\x7f" + bytes(8))),
    "long1_cut": raw(b"\x80\x02\x8a\xff\x01."),
    "binstring": raw(pickle(b"T\xff\xff\xff\x7fab")),
    "bytes8": raw(pickle(b"\x8e" + b"\xff" * 8)),
    "frame": raw(pickle(b"\x95" + b"\xff" * 8)),
    "marks": raw(pickle(b"(" * 5000)),
    "mark_missing": raw(pickle(b"}t")),
    "mark_hides_stack": raw(pickle(b"})(R")),
    "tuples_in_tuples": raw(pickle(b")" + b"\x85" * 5000)),
    "laughs": raw(pickle(LAUGHS)),
    "laughs_of_dicts": raw(pickle(state(("a", b"](" + DICT_LAUGHS + b"e"), ("b", b"h\x40")))),
    "laughs_as_sizes": saved(state(("weight", REBUILD + group(
        storage(), integer(0), LAUGHS, LAUGHS, b"\x89", ORDERED_DICT) + b"R"))),
    "os_system": raw(pickle(name("os", "system") + group(text("true")) + b"R")),
    "eval": raw(pickle(name("builtins", "eval") + group(text("1")) + b"R")),
    "numpy_scalar": raw(pickle(name("numpy.core.multiarray", "scalar") + b")R")),
    "torch_load": raw(pickle(name("torch", "load") + group(text("x")) + b"R")),
    "dotted_name": raw(pickle(name("torch", "_utils._rebuild_tensor_v2"))),
    "carriage_return": raw(pickle(b"ctorch._utils\r\n_rebuild_tensor_v2\n")),
    "spaces_in_name": raw(pickle(b"ctorch._utils\n_rebuild_tensor_v2 \n")),
    "empty_names": raw(pickle(b"c\n\n")),
    "name_without_end": raw(pickle(b"c" + b"a" * 300)),
    "name_with_control": raw(pickle(b"c\x1b[2J\nx\n")),
    "stack_global": raw(pickle(text("os") + text("system") + b"\x93")),
    "inst": raw(pickle(b"(ios\nsystem\n")),
    "obj": raw(pickle(b"(" + name("os", "system") + b"o")),
    "newobj": raw(pickle(name("collections", "OrderedDict") + b")\x81")),
    "extension": raw(pickle(b"\x82\x01")),
    "persistent_id_text": raw(pickle(b"P0\n")),
    "buffer": raw(pickle(b"\x97")),
    "reduce_storage_type": raw(pickle(FLOAT + b")R")),
    "reduce_dtype": raw(pickle(name("torch", "float32") + b")R")),
    "reduce_text": raw(pickle(text("f") + b")R")),
    "reduce_without_tuple": raw(pickle(name("collections", "OrderedDict") + b"]R")),
    "ordered_dict_of_items": raw(pickle(name("collections", "OrderedDict") + group(b"]") + b"R")),
    "build_dict": raw(pickle(b"}}b")),
    "build_class": raw(pickle(FLOAT + b"}b")),
    "build_text": raw(pickle(ORDERED_DICT + text("a") + b"b")),
    "items_of_list": raw(pickle(b"](" + text("a") + b"Nu")),
    "items_of_nothing": raw(pickle(b"(" + text("a") + b"Nu")),
    "append_to_dict": raw(pickle(b"}Na")),
    "append_to_nothing": raw(pickle(b"Na")),
    "parameter_of_text": raw(pickle(PARAMETER + group(text("a"), b"\x88", ORDERED_DICT) + b"R")),
    "type_tag_of_nothing": raw(pickle(TYPE_TAG + b")R")),
    "type_tag_of_class": raw(pickle(TYPE_TAG + group(FLOAT, text("Tensor")) + b"R")),
    "parameter_of_nothing": raw(pickle(PARAMETER + b")R")),
    "id_is_text": raw(pickle(text("storage") + b"Q")),
    "id_of_four": raw(pickle(group(text("storage"), FLOAT, text("0"), text("cpu")) + b"Q")),
    "id_of_module": raw(pickle(group(text("module"), FLOAT, text("0"), text("cpu"), integer(1))
                               + b"Q")),
    "id_of_number": raw(pickle(group(integer(0), FLOAT, text("0"), text("cpu"), integer(1)) + b"Q")),
    "id_type_is_function": one(source=storage(REBUILD)),
    "id_type_is_text": one(source=storage(text("FloatStorage"))),
    "id_key_is_number": one(source=group(text("storage"), FLOAT, integer(0), text("cpu"),
                                         integer(6)) + b"Q"),
    "id_device_is_number": one(source=group(text("storage"), FLOAT, text("0"), integer(0),
                                            integer(6)) + b"Q"),
    "id_count_negative": one(source=storage(elements=-6)),
    "id_count_of_2_63": one(source=storage(elements=2**63 - 1)),
    "id_count_is_large": one(source=storage(elements=2**70)),
    "key_missing": one(source=storage(key="1")),
    "key_elsewhere": one(source=storage(key="../version")),
    "key_long": one(source=storage(key="k" * 5000)),
    "key_of_escapes": one(source=storage(key="\x1b[2J\n")),
    "storage_larger_than_entry": one(source=storage(elements=2**40)),
    "storage_smaller_than_entry": one(source=storage(elements=5), shape=(5,), strides=(1,)),
    "storage_without_dtype": one(source=storage(UNTYPED, elements=24)),
    "offset_past_storage": one(offset=1),
    "offset_negative": one(offset=-1),
    "offset_is_large": one(offset=2**63 - 1),
    "stride_past_storage": one(strides=(4, 1)),
    "stride_negative": one(strides=(-3, 1)),
    "stride_overflows": one(shape=(3, 3), strides=(2**62, 2**62)),
    "size_negative": one(shape=(-2, -3)),
    "size_overflows": one(shape=(2**32, 2**32), strides=(0, 0)),
    "size_overflow_behind_0": one(shape=(0, 2**62, 2**62), strides=(0, 0, 0)),
    "size_is_text": saved(state(("weight", REBUILD + group(
        storage(), integer(0), group(text("2")), sizes((1,)), b"\x89", ORDERED_DICT) + b"R"))),
    "sizes_are_a_list": saved(state(("weight", REBUILD + group(
        storage(), integer(0), b"]", sizes(()), b"\x89", ORDERED_DICT) + b"R"))),
    "strides_are_none": saved(state(("weight", REBUILD + group(
        storage(), integer(0), sizes((1,)), b"N", b"\x89", ORDERED_DICT) + b"R"))),
    "sizes_and_strides": one(strides=(1,)),
    "rank_65": one(shape=(1,) * 65, strides=(1,) * 65),
    "expanded_to_2_50": one(shape=(2**50,), strides=(0,)),
    "expanded_often": saved(state(*((str(i), b"h\x00" if i else tensor((2**17,), (0,)) + b"q\x00")
                                    for i in range(64)))),
    "tensor_of_5": saved(state(("weight", REBUILD + group(storage(), integer(0), b")", b")",
                                                          b"\x89") + b"R"))),
    "tensor_of_nothing": saved(state(("weight", REBUILD + b")R"))),
    "tensor_of_text": one(source=text("0")),
    "tensor_conjugated": one(more=(state(("conj", b"\x88")),)),
    "v3_without_dtype": one(source=storage(UNTYPED, elements=24), function=REBUILD_V3,
                            more=(text("uint16"),)),
    "name_twice": saved(state(("weight", tensor()), ("weight", tensor()))),
    "name_is_number": saved(state((integer(0), tensor()))),
    "name_is_long": saved(state(("n" * 513, tensor()))),
    "name_is_not_utf8": saved(state((text(b"\xff"), tensor()))),
    "name_with_escapes": saved(state((text(b"\x1b\n"), tensor(offset=1)))),
    "root_is_tensor": saved(tensor()),
    "root_is_list": saved(b"](" + tensor() + b"e"),
    "no_tensors": saved(state(("epoch", integer(3)))),
    "two_deep": saved(state(("a", state(("b", state(("weight", tensor()))))))),
    "several_states": saved(state(("generator", state(("a", tensor()))),
                                  ("critic", state(("a", tensor()))))),
    "several_usual": saved(state(("model", state(("a", tensor()))),
                                 ("state_dict", state(("a", tensor()))))),
    "protocol_4": raw(b"\x80\x04\x95" + struct.pack("<Q", 2) + b"}."),
    "protocol_missing": raw(b"}."),
    "protocol_again": raw(pickle(b"\x80\x02}")),
    "pickle_empty": raw(b""),
    "pickle_without_end": raw(b"\x80\x02}"),
    "pickle_with_rest": raw(pickle(b"}") + b"cos\nsystem\n"),
    "pickle_of_nothing": raw(pickle(b"")),
    "pickle_of_two": raw(pickle(b"}}")),
    "pickle_mark_left": raw(pickle(b"}(")),
    "number_cut": raw(b"\x80\x02J\x01"),
}

ARCHIVES = {
    "file_empty": b"",
    "file_of_text": b"not a checkpoint",
    "file_of_two_bytes": b"PK",
    "file_of_git_lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "file_of_keras": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "file_of_safetensors": struct.pack("<Q", 2) + b"{}",
    "legacy_pickle": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
    "legacy_tar": bytes(257) + b"ustar\x0000" + bytes(247),
    "torchscript": archive([Entry("model/data.pkl", pickle(b"}")),
                            Entry("model/constants.pkl", pickle(b")"))]),
    "torchscript_compressed": archive([
        Entry("model/data.pkl", pickle(b"}")), Entry("model/constants.pkl", pickle(b")")),
        Entry("model/code/__torch__.py", b"\x03\x00", method=8, size=100, stored=2)]),
    "big_endian": saved(state(("weight", tensor())), more=[Entry(f"{FOLDER}/byteorder", b"big")]),
    "no_pickle": archive([Entry(f"{FOLDER}/version", b"3\n")]),
    "no_entries": archive([]),
    "no_common_folder": archive([Entry("a/data.pkl", pickle(b"}")), Entry("b/version", b"3\n")]),
    "cut_in_half": one()[:300],
    "end_cut": one()[:-1],
    "bytes_after_end": one() + b"\x00",
    "comment": saved(b"}", comment=b"hello"),
    "compressed": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), method=8)),
    "compressed_otherwise": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), method=12)),
    "compressed_past_directory": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), method=8,
                                                   stored=2**31)),
    "compressed_pickle": replaced(0, Entry(f"{FOLDER}/data.pkl", b"\x03\x00", method=8)),
    "encrypted": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), flags=1)),
    "local_compressed": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), local_method=8)),
    "local_name": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24),
                                    local_path=f"{FOLDER}/data/1".encode())),
    "local_missing": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), local_signature=b"none")),
    "same_name_twice": saved(state(("weight", tensor())), more=[DATA]),
    "nested_entry": archive([Entry(f"{FOLDER}/data.pkl", DATA.local()), Entry(
        f"{FOLDER}/data/0", bytes(24), offset=30 + len(f"{FOLDER}/data.pkl"), local_bytes=b"")]),
    "overlapping": replaced(2, Entry(f"{FOLDER}/data.pkl", b"", offset=0)),
    "size_past_directory": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), size=2**31)),
    "sizes_differ": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), stored=23)),
    "offset_past_directory": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), offset=2**31)),
    "name_empty": replaced(2, Entry("", b"")),
    "name_too_long": replaced(2, Entry("n" * 4097, b"")),
    "name_cut": one()[:-22 - 3] + one()[-22:],
    "count_too_large": saved(b"}", count=60000),
    "count_one_more": replaced(2, Entry(f"{FOLDER}/version", b"3\n", comment=bytes(46)), count=4),
    "count_too_small": saved(b"}", count=2),
    "directory_elsewhere": saved(b"}", offset=0),
    "directory_too_large": saved(b"}", size=2**31),
    "disk_two": saved(b"}", disk=1),
    "zip64_entry_missing": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), size=0xFFFFFFFF)),
    "zip64_entry_cut": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), size=0xFFFFFFFF,
                                         extra=zip64_extra(24))),
    "zip64_entry_of_2_64": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), size=0xFFFFFFFF,
                                             extra=zip64_extra(2**64 - 1, 2**64 - 1))),
    "zip64_offset_of_2_64": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), offset=0xFFFFFFFF,
                                              extra=zip64_extra(2**64 - 1))),
    "zip64_extra_too_long": replaced(1, Entry(f"{FOLDER}/data/0", bytes(24), size=0xFFFFFFFF,
                                              extra=struct.pack("<HH", 1, 0xFFFF))),
    "zip64_count_of_2_64": saved(b"}", zip64=True, count64=2**64 - 1),
    "zip64_count_differs": saved(b"}", zip64=True, count64=2),
    "zip64_count_elsewhere": saved(b"}", zip64=True, count=0xFFFF, count64=2**64 - 1),
    "zip64_offset_elsewhere": saved(b"}", zip64=True, offset=0xFFFFFFFF, offset64=2**63),
    "zip64_offset_of_2_63": saved(b"}", zip64=True, offset64=2**63),
    "zip64_record_elsewhere": saved(b"}", zip64=True, record=0),
    "zip64_record_of_2_64": saved(b"}", zip64=True, record=2**64 - 1),
    "zip64_record_size": saved(b"}", zip64=True, size64=2**64 - 1),
    "zip64_two_disks": saved(b"}", zip64=True, disks=2),
}

SEEDS = {**GOOD, **PICKLES, **ARCHIVES}
