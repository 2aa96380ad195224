"""The five normalizers of MIPS (section 3): changes of basis that leave the function alone, and rounding."""
