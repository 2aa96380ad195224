"""Recipes that come with iwb: whole studies, as TOML for `iwb run FILE.iwb NAME`. `iwb recipes` lists them."""
