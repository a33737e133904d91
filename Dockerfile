# sweep in a container, for machines without Go. It drives the engine whose
# socket it is given:
#
#   make build && docker build --tag sweep .
#   docker run --rm --volume /var/run/docker.sock:/var/run/docker.sock \
#     --volume "$PWD:/work" --workdir /work sweep run experiments/matrix.yaml
FROM scratch
COPY bin/sweep /sweep
ENTRYPOINT ["/sweep"]
