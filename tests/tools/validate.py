#!/usr/bin/env python3
"""Says whether the JSON of standard input fits a JSON schema. Usage: validate.py SCHEMA"""

import json
import sys

import jsonschema

with open(sys.argv[1], encoding="utf-8") as file:
    schema = json.load(file)
validator = jsonschema.validators.validator_for(schema, default=jsonschema.Draft7Validator)(schema)
errors = list(validator.iter_errors(json.load(sys.stdin)))
for error in errors:
    print(f"{'.'.join(map(str, error.absolute_path))}: {error.message[:400]}")
    for cause in error.context or []:
        print(f"    {'.'.join(map(str, cause.absolute_path))}: {cause.message[:200]}")
sys.exit(1 if errors else 0)
