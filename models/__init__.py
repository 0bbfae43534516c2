"""The bundled models: each an int8 ``.tflite`` file with a ``.toml`` manifest beside it."""
