"""URL schemes that this project adds to pyserial's: `protocol_NAME.py` is what pyserial looks for when it opens NAME://."""
