"""Installs the packages with ranges of what they need; `requirements.txt` pins what they are tested with."""

from setuptools import setup

setup(
    name="st-tr",
    version="0.1.0",
    description="Spatial and temporal transformers for skeleton-based action recognition",
    license="MIT",
    python_requires=">=3.10",
    packages=["graph", "data_gen", "data_gen.class_names", "feeders", "model", "model.layers", "processor"],
    package_data={"data_gen.class_names": ["*.txt"]},
    py_modules=["main", "ensemble"],
    install_requires=[
        "torch>=2.6",
        "numpy>=1.26",
        "einops>=0.8",
        "pyyaml>=6.0",
        "tqdm>=4.66",
        "tensorboard>=2.16",
        "scikit-learn>=1.4",
        "matplotlib>=3.8",
    ],
)
