"""The recipes this repository ships, one YAML file each."""
