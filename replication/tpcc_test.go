package replication_test

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// The tables of a trade with warehouses, districts, customers, orders and
// payments, after TPC-C (clause 1), as small as a test needs them.
const tpccTables = `
CREATE TABLE warehouse(w INTEGER PRIMARY KEY, ytd INTEGER NOT NULL);
CREATE TABLE district(w INTEGER, d INTEGER, ytd INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY(w, d)) WITHOUT ROWID;
CREATE TABLE customer(w INTEGER, d INTEGER, c INTEGER, balance INTEGER NOT NULL, paid INTEGER NOT NULL, data TEXT, PRIMARY KEY(w, d, c));
CREATE TABLE history(w INTEGER, d INTEGER, c INTEGER, amount INTEGER NOT NULL);
CREATE TABLE orders(w INTEGER, d INTEGER, o INTEGER, c INTEGER, carrier INTEGER, lines INTEGER NOT NULL, PRIMARY KEY(w, d, o)) WITHOUT ROWID;
CREATE INDEX by_customer ON orders(w, d, c, o);
CREATE TABLE new_order(w INTEGER, d INTEGER, o INTEGER, PRIMARY KEY(w, d, o)) WITHOUT ROWID;
CREATE TABLE order_line(w INTEGER, d INTEGER, o INTEGER, n INTEGER, item INTEGER, amount INTEGER, delivered INTEGER NOT NULL DEFAULT 0, info TEXT, PRIMARY KEY(w, d, o, n)) WITHOUT ROWID;
CREATE TABLE stock(w INTEGER, item INTEGER, quantity INTEGER NOT NULL, ytd INTEGER NOT NULL, PRIMARY KEY(w, item)) WITHOUT ROWID;`

// Sizes of the trade.
const (
	warehouses, districts, customers, items = 2, 4, 20, 100
)

// tpccRules are its conditions of consistency (clause 3.3.2, those that the five
// transactions here can break): each query counts what breaks one.
var tpccRules = []string{
	"SELECT count(*) FROM warehouse JOIN (SELECT w, sum(ytd) s FROM district GROUP BY w) USING(w) WHERE ytd <> s",
	"SELECT count(*) FROM district JOIN (SELECT w, d, max(o) m FROM orders GROUP BY w, d) USING(w, d) WHERE next <> m+1",
	"SELECT count(*) FROM (SELECT max(o)-min(o)+1-count(*) gap FROM new_order GROUP BY w, d) WHERE gap <> 0",
	"SELECT (SELECT sum(lines) FROM orders) - (SELECT count(*) FROM order_line)",
	"SELECT count(*) FROM orders LEFT JOIN new_order n USING(w, d, o) WHERE (carrier IS NULL) <> (n.w IS NOT NULL)",
	"SELECT count(*) FROM order_line JOIN orders USING(w, d, o) WHERE delivered <> (carrier IS NOT NULL)",
	"SELECT (SELECT coalesce(sum(amount), 0) FROM history) - (SELECT sum(ytd) FROM warehouse)",
	"SELECT (SELECT sum(balance)+sum(paid) FROM customer) - (SELECT coalesce(sum(amount), 0) FROM order_line WHERE delivered)",
	"SELECT (SELECT sum(ytd) FROM stock) - (SELECT coalesce(sum(item % 10 + 1), 0) FROM order_line)",
}

type tpcc struct {
	r *rand.Rand
	t *sql.Tx
}

func (x tpcc) do(q string, args ...any) error {
	_, err := x.t.Exec(q, args...)
	return err
}

// all does statements until one fails.
func all(steps ...func() error) error {
	for _, s := range steps {
		if err := s(); err != nil {
			return err
		}
	}
	return nil
}

// step makes one transaction of the mix of clause 5.2.3.
func (x tpcc) step() error {
	w, d, c := x.r.IntN(warehouses), x.r.IntN(districts), x.r.IntN(customers)
	switch n := x.r.IntN(100); {
	case n < 45:
		return x.order(w, d, c)
	case n < 88:
		return x.pay(w, d, c)
	case n < 92:
		return x.deliver(w)
	case n < 96: // order status
		var o sql.NullInt64
		return x.t.QueryRow("SELECT max(o) FROM orders WHERE w=? AND d=? AND c=?", w, d, c).Scan(&o)
	}
	var low int // stock level
	return x.t.QueryRow("SELECT count(DISTINCT s.item) FROM order_line l JOIN stock s ON s.w=l.w AND s.item=l.item WHERE l.w=? AND l.d=? AND quantity < 20", w, d).Scan(&low)
}

func (x tpcc) order(w, d, c int) error {
	var o int
	if err := x.t.QueryRow("UPDATE district SET next=next+1 WHERE w=? AND d=? RETURNING next-1", w, d).Scan(&o); err != nil {
		return err
	}
	lines := 5 + x.r.IntN(11)
	if err := all(
		func() error { return x.do("INSERT INTO orders VALUES(?,?,?,?,NULL,?)", w, d, o, c, lines) },
		func() error { return x.do("INSERT INTO new_order VALUES(?,?,?)", w, d, o) },
	); err != nil {
		return err
	}
	for n := range lines {
		item := x.r.IntN(items)
		if err := all(
			func() error {
				return x.do("UPDATE stock SET quantity = CASE WHEN quantity < 10 THEN 91 ELSE quantity-1 END, ytd = ytd+? WHERE w=? AND item=?", item%10+1, w, item)
			},
			func() error {
				return x.do("INSERT INTO order_line VALUES(?,?,?,?,?,?,0,hex(randomblob(12)))", w, d, o, n, item, x.r.IntN(1000))
			},
		); err != nil {
			return err
		}
	}
	if x.r.IntN(100) == 0 { // clause 2.4.1.4: one in a hundred is broken off at its end
		return errBrokenOff
	}
	return nil
}

var errBrokenOff = fmt.Errorf("an item that is not there")

func (x tpcc) pay(w, d, c int) error {
	amount := 1 + x.r.IntN(5000)
	return all(
		func() error { return x.do("UPDATE warehouse SET ytd=ytd+? WHERE w=?", amount, w) },
		func() error { return x.do("UPDATE district SET ytd=ytd+? WHERE w=? AND d=?", amount, w, d) },
		func() error {
			return x.do("UPDATE customer SET balance=balance-?1, paid=paid+?1, data=substr(hex(randomblob(100))||data, 1, 400) WHERE w=?2 AND d=?3 AND c=?4", amount, w, d, c)
		},
		func() error { return x.do("INSERT INTO history VALUES(?,?,?,?)", w, d, c, amount) },
	)
}

// deliver delivers the oldest order of each district.
func (x tpcc) deliver(w int) error {
	for d := range districts {
		var o sql.NullInt64
		if err := x.t.QueryRow("SELECT min(o) FROM new_order WHERE w=? AND d=?", w, d).Scan(&o); err != nil {
			return err
		}
		if !o.Valid {
			continue
		}
		if err := all(
			func() error { return x.do("DELETE FROM new_order WHERE w=? AND d=? AND o=?", w, d, o) },
			func() error { return x.do("UPDATE orders SET carrier=1 WHERE w=? AND d=? AND o=?", w, d, o) },
			func() error { return x.do("UPDATE order_line SET delivered=1 WHERE w=? AND d=? AND o=?", w, d, o) },
			func() error {
				return x.do("UPDATE customer SET balance=balance+(SELECT sum(amount) FROM order_line WHERE w=?1 AND d=?2 AND o=?3) WHERE w=?1 AND d=?2 AND c=(SELECT c FROM orders WHERE w=?1 AND d=?2 AND o=?3)", w, d, o)
			},
		); err != nil {
			return err
		}
	}
	return nil
}

// fill makes the trade.
func (p *platform) fill(db *sql.DB) {
	p.exec(db, "BEGIN")
	p.exec(db, tpccTables)
	for w := range warehouses {
		p.exec(db, "INSERT INTO warehouse VALUES(?,0)", w)
		for d := range districts {
			p.exec(db, "INSERT INTO district VALUES(?,?,0,1)", w, d)
			for c := range customers {
				p.exec(db, "INSERT INTO customer VALUES(?,?,?,0,0,'')", w, d, c)
			}
		}
		for i := range items {
			p.exec(db, "INSERT INTO stock VALUES(?,?,50,0)", w, i)
		}
	}
	p.exec(db, "COMMIT")
}

// trade makes transactions until ctx ends or there are so many.
func trade(ctx context.Context, db *sql.DB, seed uint64, most int) (done int, err error) {
	r := rand.New(rand.NewPCG(seed, 4))
	for ; done < most && ctx.Err() == nil; done++ {
		tx, err := db.Begin()
		if err != nil {
			return done, err
		}
		err = tpcc{r, tx}.step()
		switch err {
		case nil:
			err = tx.Commit()
		case errBrokenOff:
			err = tx.Rollback()
		}
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// rules looks whether a moment of a database breaks a rule of the trade.
func rules(db *sql.DB) (orders int, err error) {
	tx, err := db.Begin()
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	if err := tx.QueryRow("SELECT count(*) FROM orders").Scan(&orders); err != nil {
		return 0, err
	}
	for i, q := range tpccRules {
		var broken sql.NullInt64
		if err := tx.QueryRow(q).Scan(&broken); err != nil || broken.Int64 != 0 {
			return orders, fmt.Errorf("rule %d: broken by %d (%w)", i+1, broken.Int64, err)
		}
	}
	return orders, nil
}

// TestTrade: a load after TPC-C, with a reader of the copy that checks its rules
// of consistency all the time, and a leader that changes in the middle.
func TestTrade(t *testing.T) {
	each := 240
	if long() {
		each = 50_000
	}
	p := newPlatform(t, 61, 10)
	db := p.open(1)
	p.exec(db, "PRAGMA synchronous=normal")
	p.fill(db)
	pr := p.primary(1, 1, nil)
	s := p.standby(2)
	p.sync(pr)
	p.reach(s)
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	looks, states := 0, map[int]bool{}
	wg.Go(func() {
		copied := p.open(2)
		defer copied.Close()
		for ctx.Err() == nil {
			orders, err := rules(copied)
			if err != nil {
				t.Errorf("the copy: %v", err)
				return
			}
			looks, states[orders] = looks+1, true
		}
	})
	done, err := trade(ctx, db, 1, each)
	if err != nil {
		t.Fatal(err)
	}
	p.sync(pr)
	p.reach(s)
	cancel()
	wg.Wait()
	_ = pr.stop()
	db.Close()
	s.close()
	db = p.open(2)
	defer db.Close()
	next, back := p.primary(2, 2, nil), p.standby(1)
	if _, err := trade(t.Context(), db, 2, each/2); err != nil {
		t.Fatal(err)
	}
	p.sync(next)
	p.reach(back)
	for node := 1; node <= 2; node++ {
		end := p.open(node)
		orders, err := rules(end)
		if err != nil || orders < each/4 {
			t.Errorf("node %d: %d orders, %v", node, orders, err)
		}
		end.Close()
	}
	if len(states) < 3 {
		t.Errorf("the reader saw %d states", len(states))
	}
	t.Logf("%d transactions, %d looks, %d states seen", done, looks, len(states))
}
