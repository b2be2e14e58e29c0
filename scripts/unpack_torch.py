"""Unpacks what a C++ program needs of a wheel of torch: its headers, its libraries and its licence.

usage: unpack_torch.py WHEEL FOLDER
Prints, a line each, the requirements that a CUDA build has of NVIDIA's libraries; nothing for a CPU build.
"""

import email.parser
import re
import sys
import zipfile

WANTED = re.compile(r"torch/(include|lib)/|torch-[^/]*\.dist-info/licenses/LICENSE$|torch/version\.py$")
OF_PYTHON = re.compile(r"torch/lib/lib(torch_python|shm|\w*_test|backend_with_compiler|aoti_custom_ops)")
NVIDIA = re.compile(r"(nvidia-|cuda-toolkit)")


def main(wheel_path: str, folder: str) -> None:
    with zipfile.ZipFile(wheel_path) as wheel:
        names = wheel.namelist()
        wheel.extractall(folder, [name for name in names if WANTED.match(name) and not OF_PYTHON.match(name)])
        if "torch/lib/libtorch_cuda.so" not in names:
            return
        metadata = next(name for name in names if name.endswith(".dist-info/METADATA"))
        described = email.parser.BytesParser().parsebytes(wheel.read(metadata))
    print("\n".join(line for line in described.get_all("Requires-Dist", []) if NVIDIA.match(line)))


main(*sys.argv[1:])
