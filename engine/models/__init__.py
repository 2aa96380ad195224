"""Load and run models: transformers and recurrent networks behind small protocols (`protocols`), and the bundled zoo.

`loading.load_model` takes a source and gives a model that runs; `transformer` runs it; `hooked` meets TransformerLens.
"""
