"""Load and run models: transformers and recurrent networks behind small protocols, and the bundled zoo."""
