"""Sound detection: noise floor, gate, windowing, event tracker."""
