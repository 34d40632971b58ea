"""What every floor stands on: documents, inputs, outputs, units of work, errors, the terminal."""
