"""Compiles a text of CUDA C++ as the crate does when it runs: by NVRTC, with the same options.

Arguments: the library, the text's file, the file for PTX, then the options. No card is needed.
"""

import ctypes
import sys


def main(library, source, to, *options):
    nvrtc = ctypes.CDLL(library)
    program = ctypes.c_void_p()

    def text(size_of, get):
        size = ctypes.c_size_t()
        size_of(program, ctypes.byref(size))
        buffer = ctypes.create_string_buffer(max(size.value, 1))
        get(program, buffer)
        return buffer.value.decode()

    with open(source, "rb") as file:
        code = nvrtc.nvrtcCreateProgram(ctypes.byref(program), file.read(), None, 0, None, None)
    if code:
        return f"NVRTC could not be started: error {code}"
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    code = nvrtc.nvrtcCompileProgram(program, len(options), given)
    log = text(nvrtc.nvrtcGetProgramLogSize, nvrtc.nvrtcGetProgramLog)
    if code or log.strip():
        return f"error {code}, or a warning:\n{log}"
    with open(to, "w") as file:
        file.write(text(nvrtc.nvrtcGetPTXSize, nvrtc.nvrtcGetPTX))
    return None


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
