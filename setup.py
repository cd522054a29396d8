"""Installs everything as one package, `st_tr`, and the command `st-tr`; with ranges of what it needs.

`requirements.txt` pins what it is tested with.
"""

from setuptools import setup

ROOMS = {
    "graph": ("common",),
    "data_gen": ("class_names", "common", "demo", "formats", "ntu"),
    "feeders": (),
    "model": ("fast", "fast.gpu", "layers", "published"),
    "processor": ("config", "engine", "results", "runtime", "state", "tools"),
}
PACKAGES = [package for room, inner in ROOMS.items() for package in (room, *(f"{room}.{name}" for name in inner))]

setup(
    name="st-tr",
    version="0.1.0",
    description="Spatial and temporal transformers for skeleton-based action recognition",
    license="MIT",
    python_requires=">=3.10",
    package_dir={"st_tr": "."},
    packages=["st_tr", *(f"st_tr.{name}" for name in PACKAGES)],
    package_data={
        "st_tr": ["config/*/*.yaml"],
        "st_tr.data_gen.class_names": ["*.txt"],
        "st_tr.processor.results": ["page.*"],
    },
    entry_points={"console_scripts": ["st-tr = st_tr.processor.command:run"]},
    extras_require={
        "formats": ["bvhio>=1.5", "ezc3d>=1.5", "scipy>=1.11"],  # BVH, C3D and MATLAB's files, which few need
        "explain": ["captum>=0.7"],  # integrated gradients in `--phase explain`
        "report": ["scikit-learn>=1.3"],  # t-SNE in reports; with SciPy it takes 150 MB
        "onnx": ["onnx>=1.17", "onnxscript>=0.4", "onnxruntime>=1.20"],  # `--phase export --format onnx`
        "video": ["mediapipe>=0.10.14", "opencv-contrib-python>=4.8"],  # `--phase watch`
    },
    install_requires=[
        "torch>=2.6",
        "numpy>=1.26",
        "einops>=0.8",
        "pyyaml>=6.0",
        "tqdm>=4.66",
        "tensorboard>=2.16",
        "matplotlib>=3.8",
        "jinja2>=3.1",
    ],
)
