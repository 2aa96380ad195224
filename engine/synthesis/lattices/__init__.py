"""Integer coordinates for hidden states: linear and GCD lattices, basis reduction (section 4.1 to 4.3)."""
