package locust

// Class is a class of users of the locustfile.
type Class struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"` // of all users, 0 to 1
}

// crowd says which users there are, by worker and class, as their number goes
// up and down. Users come in one order and leave in its reverse, one worker
// after another, each class as near to its share as it can be: so that who is
// there depends on nothing but how many there are.
type crowd struct {
	classes []Class
	order   []int   // the class of each user that there is
	of      []int   // how many there are of each class
	at      [][]int // the same of each worker
}

func newCrowd(classes []Class, workers int) *crowd {
	c := &crowd{classes: classes, of: make([]int, len(classes)), at: make([][]int, workers)}
	for i := range c.at {
		c.at[i] = make([]int, len(classes))
	}
	return c
}

// become makes it n users.
func (c *crowd) become(n int) {
	for k := len(c.order); k < n; k++ {
		class := c.next()
		c.order = append(c.order, class)
		c.of[class]++
		c.at[k%len(c.at)][class]++
	}
	for k := len(c.order) - 1; k >= n; k-- {
		class := c.order[k]
		c.order = c.order[:k]
		c.of[class]--
		c.at[k%len(c.at)][class]--
	}
}

// next returns the class that is farthest below its share.
func (c *crowd) next() int {
	best, most := 0, 0.0
	for i, class := range c.classes {
		if missing := class.Share*float64(len(c.order)+1) - float64(c.of[i]); i == 0 || missing > most {
			best, most = i, missing
		}
	}
	return best
}

// worker returns how many users of each class a worker has.
func (c *crowd) worker(i int) map[string]int {
	users := map[string]int{}
	for class, n := range c.at[i] {
		users[c.classes[class].Name] = n
	}
	return users
}
