-- A shop in the manner that everybody learns SQL with: short text keys, composite keys, quoted names that need no quotes,
-- a table that refers to itself, pictures.

-- both
create table categories (
    category_id smallint primary key,
    category_name varchar(15) not null,
    description text,
    picture bytea);
create table suppliers (
    supplier_id smallint primary key,
    company_name varchar(40) not null,
    city varchar(15),
    homepage text);
create table products (
    product_id smallint primary key,
    product_name varchar(40) not null,
    supplier_id smallint references suppliers,
    category_id smallint references categories,
    unit_price real,
    units_in_stock smallint default 0,
    discontinued integer not null);
create table customers (
    customer_id bpchar primary key,
    company_name varchar(40) not null,
    phone varchar(24));
create table customer_demographics (customer_type_id bpchar primary key, customer_desc text);
create table customer_customer_demo (
    customer_id bpchar references customers,
    customer_type_id bpchar references customer_demographics,
    primary key (customer_id, customer_type_id));
create table employees (
    employee_id smallint primary key,
    last_name varchar(20) not null,
    first_name varchar(10) not null,
    birth_date date,
    reports_to smallint references employees,
    notes text);
create table region (region_id smallint primary key, region_description bpchar not null);
create table territories (
    territory_id varchar(20) primary key,
    territory_description bpchar not null,
    region_id smallint not null references region);
create table employee_territories (
    employee_id smallint references employees,
    territory_id varchar(20) references territories,
    primary key (employee_id, territory_id));
create table shippers (shipper_id smallint primary key, company_name varchar(40) not null);
create table orders (
    order_id smallint primary key,
    customer_id bpchar references customers,
    employee_id smallint references employees,
    order_date date,
    ship_via smallint references shippers,
    freight real);
create table order_details (
    order_id smallint references orders,
    product_id smallint references products,
    unit_price real not null,
    quantity smallint not null check (quantity > 0),
    discount real not null default 0,
    primary key (order_id, product_id));

-- data
insert into categories select n, 'Category ' || n, 'All of ' || n, decode(repeat(lpad(to_hex(n), 2, '0'), 50), 'hex') from generate_series(1, 5) n;
insert into suppliers select n, 'Supplier ' || n, 'Town', '#http://' || n || '#' from generate_series(1, 8) n;
insert into products select n, 'Thing ' || n, 1 + n % 8, 1 + n % 5, n * 1.1, n % 40, n % 2 from generate_series(1, 30) n;
insert into customers select 'CUST' || chr(64 + n), 'Firm ' || n, '(' || n || ') 555' from generate_series(1, 12) n;
insert into customer_demographics values ('loyal', 'come often'), ('new ', null);
insert into customer_customer_demo select customer_id, 'loyal' from customers where customer_id < 'CUSTE';
insert into employees select n, 'Last ' || n, 'First ' || n, date '1950-01-01' + n * 400, nullif(n / 2, 0), null from generate_series(1, 9) n;
insert into region values (1, 'East'), (2, 'West  ');
insert into territories select lpad(n::text, 5, '0'), 'Territory ' || n, 1 + n % 2 from generate_series(1, 10) n;
insert into employee_territories select 1 + n % 9, lpad(n::text, 5, '0') from generate_series(1, 10) n;
insert into shippers values (1, 'Fast'), (2, 'Slow');
insert into orders select 10000 + n, 'CUST' || chr(65 + n % 12), 1 + n % 9, date '2024-01-01' + n, 1 + n % 2, n / 3.0 from generate_series(1, 25) n;
insert into order_details select order_id, 1 + (order_id * 7 + n) % 30, n * 1.25, n, 0.05 from orders, generate_series(1, 3) n;

-- changes
insert into orders values (10100, 'CUSTA', 1, '2025-05-05', 1, 'NaN'), (10101, null, null, null, null, null);
begin;
insert into customers values ('NEWCO', 'New', null);
insert into orders values (10102, 'NEWCO', 2, current_date, 2, 1e-20);
insert into order_details values (10102, 1, 9.99, 5, 0), (10102, 2, 0.1, 1, 0.25);
update products set units_in_stock = units_in_stock - 1 where product_id in (1, 2);
commit;
update products set unit_price = unit_price * 1.1 where category_id = 2;
update order_details set product_id = 30 where order_id = 10102 and product_id = 2;
delete from order_details where order_id between 10001 and 10003;
delete from orders where order_id between 10001 and 10003;
update employees set reports_to = 9 where employee_id = 2;
insert into employees values (10, 'Boss', 'The', null, null, 'new');
update employees set reports_to = 10 where reports_to is null and employee_id <> 10;
-- a key changes with all that refers to it, and two lines exchange their products
begin;
insert into shippers values (9, 'New number');
update orders set ship_via = 9 where ship_via = 2;
delete from shippers where shipper_id = 2;
update order_details set product_id = 29 where order_id = 10102 and product_id = 1;
update order_details set product_id = 1 where order_id = 10102 and product_id = 30;
update order_details set product_id = 30 where order_id = 10102 and product_id = 29;
commit;
begin;
delete from customer_customer_demo;
insert into customer_customer_demo select customer_id, 'new ' from customers where customer_id > 'CUSTH';
commit;
truncate employee_territories;
insert into employee_territories values (10, '00001');
