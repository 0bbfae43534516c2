"""The configuration: its schema, and how it is read."""

from edge.config.cab import ButtonConfig, CabConfig, GpioConfig, ProgramConfig, SoundConfig
from edge.config.load import ENV_PREFIX, load_as, load_config, schema_json
from edge.config.schema import (
    MAX_MQTT_TEXT_BYTES,
    TOPIC_PART,
    CameraConfig,
    Config,
    DeviceConfig,
    DiscoveryConfig,
    HeatConfig,
    MqttConfig,
    OutboxConfig,
    PublishConfig,
    QualityConfig,
    TlsConfig,
    TraceConfig,
    VisionConfig,
    default_device_id,
)

__all__ = [
    "ENV_PREFIX",
    "MAX_MQTT_TEXT_BYTES",
    "TOPIC_PART",
    "ButtonConfig",
    "CabConfig",
    "CameraConfig",
    "Config",
    "DeviceConfig",
    "DiscoveryConfig",
    "GpioConfig",
    "HeatConfig",
    "MqttConfig",
    "OutboxConfig",
    "ProgramConfig",
    "PublishConfig",
    "QualityConfig",
    "SoundConfig",
    "TlsConfig",
    "TraceConfig",
    "VisionConfig",
    "default_device_id",
    "load_as",
    "load_config",
    "schema_json",
]
