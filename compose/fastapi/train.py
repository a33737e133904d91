"""Trains the delivery-time model; runs once, while the image is built.

The data are synthetic: no real orders, the same model from every build.

    minutes = 8 + 1.6*distance + 0.35*items + traffic(hour)*distance + noise

    distance   uniform in 0..30 km
    items      whole number, 1..40; each one takes time to prepare
    traffic    extra minutes per km at rush hour, two bell curves: lunch (13 h,
               up to 0.6) and dinner (20 h, up to 0.9)
    noise      normal, sigma = 2 min: no model can have an RMSE below 2
"""

import sys

import joblib
import numpy as np
from sklearn.ensemble import GradientBoostingRegressor
from sklearn.metrics import mean_squared_error
from sklearn.model_selection import train_test_split

SEED = 20240501
ROWS = 8_000
NOISE = 2.0
WORST_RMSE = 1.5 * NOISE  # beyond this the build must not go on
MODEL = "model.joblib"


def orders(rng, rows):
    """Returns features [distance_km, items, hour] and the minutes taken."""
    distance = rng.uniform(0, 30, rows)
    items = rng.integers(1, 41, rows)
    hour = rng.uniform(0, 24, rows)
    traffic = 0.6 * np.exp(-(((hour - 13) / 1.5) ** 2)) + 0.9 * np.exp(
        -(((hour - 20) / 2.0) ** 2)
    )
    minutes = 8 + 1.6 * distance + 0.35 * items + traffic * distance
    return np.column_stack([distance, items, hour]), minutes + rng.normal(0, NOISE, rows)


def main():
    x, y = orders(np.random.default_rng(SEED), ROWS)
    x_train, x_valid, y_train, y_valid = train_test_split(
        x, y, test_size=0.25, random_state=SEED
    )
    model = GradientBoostingRegressor(n_estimators=200, max_depth=4, random_state=SEED)
    model.fit(x_train, y_train)

    rmse = mean_squared_error(y_valid, model.predict(x_valid)) ** 0.5
    print(f"validation RMSE {rmse:.2f} min over {len(x_valid)} orders (noise alone: {NOISE:.2f})")
    if rmse > WORST_RMSE:
        sys.exit(f"train.py: RMSE above {WORST_RMSE:.2f} min; the model is not saved. Review the formula or the model.")

    joblib.dump(model, MODEL)


if __name__ == "__main__":
    main()
