CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, city TEXT NOT NULL);
CREATE TABLE orders (
  id INTEGER PRIMARY KEY,
  customer_id INTEGER NOT NULL REFERENCES customers (id),
  item TEXT NOT NULL,
  amount REAL NOT NULL,
  status TEXT NOT NULL,
  ordered_on TEXT NOT NULL
);
INSERT INTO customers VALUES (1, 'Ingrid Dahl', 'Oslo'), (2, 'Mateo Ruiz', 'Sevilla'), (3, 'Aiko Tanaka', 'Osaka');
INSERT INTO orders VALUES
  (1001, 1, 'Espresso machine', 349.00, 'shipped', '2026-10-02'),
  (1002, 1, 'Grinder', 129.50, 'open', '2026-11-11'),
  (1003, 2, 'Paella pan', 42.00, 'shipped', '2026-11-03'),
  (1004, 3, 'Tea kettle', 88.90, 'open', '2026-11-15'),
  (1005, 3, 'Tea cups', 36.40, 'open', '2026-11-15'),
  (1006, 2, 'Olive oil', 18.25, 'returned', '2026-09-27');
