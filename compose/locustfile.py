"""The users of the prediction service: each asks for a prediction, waits a
second for the next, and takes any status but 200 for a failure.

    locust -f locustfile.py --host http://api:8000
"""

from locust import FastHttpUser, constant, task


class PredictionUser(FastHttpUser):
    host = "http://api:8000"
    wait_time = constant(1)

    @task
    def predict(self):
        self.client.post("/predict", json={"features": [12.5, 3, 17.5]}, name="/predict")
