// Command train makes the weights that the prediction service embeds:
//
//	go generate ./cmd/predictor/model
//
// It draws deliveries from package recipe, fits the network with mini-batch
// Adam and writes the weights file. Every seed is fixed, so the same program
// on the same architecture writes the same file.
//
// It is not part of the service and knows no way to train on other data.
package main

import (
	"bytes"
	"flag"
	"log"
	"math"
	"math/rand/v2"
	"os"

	"sweep/cmd/predictor/model"
	"sweep/cmd/predictor/recipe"
)

// options are the choices of a training run.
type options struct {
	width, steps  int
	samples       int
	batch, epochs int
	rate          float64 // initial learning rate, lowered to 0 along a cosine
}

// release are the options of the embedded weights. Width and steps set the
// price of a prediction: some 40 µs of one core of the reference machine.
func release() options {
	return options{width: 256, steps: 3, samples: 20_000, batch: 250, epochs: 24, rate: 2e-3}
}

const (
	trainSeed = 1
	checkSeed = 2
	initSeed  = 3
)

func main() {
	out := flag.String("o", "weights.bin", "file to write")
	flag.Parse()
	if err := run(*out, release(), log.New(os.Stdout, "", 0)); err != nil {
		log.Fatal("train: ", err)
	}
}

func run(out string, opt options, logger *log.Logger) error {
	training := recipe.Draw(opt.samples, trainSeed)
	var file bytes.Buffer
	if err := train(opt, training, logger).Encode(&file); err != nil {
		return err
	}
	// Judge what the service will load, rounded to float32, not what was in
	// memory.
	net, err := model.Decode(bytes.NewReader(file.Bytes()))
	if err != nil {
		return err
	}
	report(net, training, logger)
	return os.WriteFile(out, file.Bytes(), 0o644)
}

// train fits a network to the samples, whose order it leaves alone.
func train(opt options, samples []recipe.Sample, logger *log.Logger) *model.Network {
	rng := rand.New(rand.NewPCG(initSeed, 0))
	net := newNetwork(opt.width, opt.steps, samples, rng)
	tr, optimiser := newTrainer(net, opt.batch), newAdam(net.Parameters())
	batch := make([]recipe.Sample, opt.batch)
	perEpoch := len(samples) / opt.batch
	total := float64(opt.epochs * perEpoch)
	for epoch := range opt.epochs {
		order := rng.Perm(len(samples))
		for b := range perEpoch {
			for i := range batch {
				batch[i] = samples[order[b*opt.batch+i]]
			}
			tr.gradient(batch)
			done := float64(epoch*perEpoch+b) / total
			optimiser.update(tr.grad.Parameters(), opt.rate*(1+math.Cos(math.Pi*done))/2)
		}
		logger.Printf("epoch %2d/%d: RMSE of the last batch %.3f minutes", epoch+1, opt.epochs, rmse(net, batch))
	}
	return net
}

// report prints how far the network is from the data it saw and from data it
// did not see.
func report(net *model.Network, training []recipe.Sample, logger *log.Logger) {
	validation := recipe.Draw(len(training)/4, checkSeed)
	spread := scale(validation, func(s recipe.Sample) float64 { return s.Minutes }).Std
	logger.Printf("RMSE in minutes: train %.3f, validation %.3f (target deviation %.3f, noise %.3f)",
		rmse(net, training), rmse(net, validation), spread, recipe.NoiseStd)
}

// rmse is the root mean square error of net over samples, in minutes.
func rmse(net *model.Network, samples []recipe.Sample) float64 {
	e := net.NewEvaluator()
	sum := 0.0
	for _, s := range samples {
		got, err := e.Predict(s.Features)
		if err != nil {
			panic(err) // the recipe draws within the ranges
		}
		sum += (got - s.Minutes) * (got - s.Minutes)
	}
	return math.Sqrt(sum / float64(len(samples)))
}
