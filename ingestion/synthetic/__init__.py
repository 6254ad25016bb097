"""An invented country that sends real-looking 43-file extracts, and the truth about what it sent."""

from ingestion.synthetic.country import Summary, generate

__all__ = ["Summary", "generate"]
