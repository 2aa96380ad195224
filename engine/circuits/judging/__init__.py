"""How good a circuit is: faithfulness, completeness, minimality, curves, references, transfer between models."""
