-- A small shop. The people do not exist; the card numbers are the card schemes' published test numbers.

CREATE TABLE customers (
    id      integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    name    text NOT NULL,
    email   text NOT NULL UNIQUE,
    card    text NOT NULL,
    country char(2) NOT NULL
);

CREATE TABLE orders (
    id          integer PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    customer_id integer NOT NULL REFERENCES customers,
    placed_on   date NOT NULL,
    item        text NOT NULL,
    total       numeric(9, 2) NOT NULL,
    status      text NOT NULL CHECK (status IN ('paid', 'shipped', 'returned'))
);

INSERT INTO customers (name, email, card, country) VALUES
    ('Marta Oliveira', 'marta.oliveira@example.com', '4111111111111111', 'PT'),
    ('Jonas Lindqvist', 'jonas@example.org', '5555555555554444', 'SE'),
    ('Aiko Tanabe', 'a.tanabe@example.net', '378282246310005', 'JP'),
    ('Rui Carvalho', 'rui.carvalho@example.com', '6011111111111117', 'PT'),
    ('Nora Feld', 'nora.feld@example.org', '4012888888881881', 'DE'),
    ('Samuel Adeyemi', 's.adeyemi@example.net', '5105105105105100', 'NG'),
    ('Ines Pacheco', 'ines@example.com', '371449635398431', 'PT'),
    ('Tom Becker', 'tom.becker@example.org', '4222222222222', 'DE');

INSERT INTO orders (customer_id, placed_on, item, total, status)
SELECT 1 + (n * 5) % 8,
       date '2026-01-05' + n * 3,
       (ARRAY['desk lamp', 'field notes', 'kettle', 'wool blanket', 'bicycle bell'])[1 + n % 5],
       round((9.90 + (n * 37 % 90))::numeric, 2),
       (ARRAY['paid', 'shipped', 'shipped', 'returned'])[1 + n % 4]
FROM generate_series(1, 40) AS n;
