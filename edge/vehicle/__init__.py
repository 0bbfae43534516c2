"""What is known of the vehicle: sources that tell speed and ignition, and the context that the decision is given."""

from edge.vehicle.store import SourceHealth
from edge.vehicle.vehicle import NO_VEHICLE, Vehicle

__all__ = ["NO_VEHICLE", "SourceHealth", "Vehicle"]
