"""Delivery-time prediction: FastAPI in front of a scikit-learn model.

    POST /predict  {"features": [distance_km, items, hour]}
                   -> {"prediction": 34.2, "unit": "minutes"}
    GET  /health   -> {"status": "ok"}
"""

from pathlib import Path
from typing import Tuple

import joblib
from fastapi import FastAPI
from pydantic import BaseModel, confloat

# Loaded once per worker, before the port opens: a healthy answer means that
# the model is in memory. Made by train.py when the image is built.
model = joblib.load(Path(__file__).with_name("model.joblib"))

app = FastAPI(title="Delivery time")


class Order(BaseModel):
    # Anything outside the ranges the model was trained on is a 422: trees
    # cannot extrapolate, they would answer with their nearest leaf.
    features: Tuple[
        confloat(ge=0, le=30),  # distance_km
        confloat(ge=1, le=40),  # items
        confloat(ge=0, le=24),  # hour
    ]


class Prediction(BaseModel):
    prediction: float
    unit: str = "minutes"


# `def`, as FastAPI advises for work that holds the CPU: it runs in a pool of 40
# threads, and /health is answered between predictions. Every request that waits
# for a thread is already read and parsed, and costs some 25 KB of memory until
# it is answered: under more load than it can carry, the service grows.
@app.post("/predict", response_model=Prediction)
def predict(order: Order):
    return Prediction(prediction=round(float(model.predict([order.features])[0]), 1))


@app.get("/health")
async def health():
    return {"status": "ok"}
