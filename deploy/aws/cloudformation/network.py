"""The service's network: two public subnets, endpoints, and the load balancer with TLS.

The load balancer has no access logs: they write whole addresses, and an address of playback holds a ticket.
"""

from __future__ import annotations

from typing import Any

from deploy.aws.cloudformation import inventory
from deploy.aws.cloudformation.policy import TABLES, objects
from deploy.aws.cloudformation.template import TAGS, Json, allow, document, ref, resource, sub
from panzoto.config import Settings

EVERYWHERE = "0.0.0.0/0"
# So long after its last request a browser is kept at its task: on a slow line a page fetches its parts for a
# while, and new tasks are to get their share of those who stay.
STAYS_SECONDS = "300"


def network() -> Json:
    """The network in two zones. Tasks have addresses, at which the load balancer alone reaches the web's."""
    return {
        "Vpc": _vpc(),
        "Gateway": resource("EC2::InternetGateway", {"Tags": TAGS}),
        "GatewayAttachment": resource(
            "EC2::VPCGatewayAttachment", {"VpcId": ref("Vpc"), "InternetGatewayId": ref("Gateway")}
        ),
        "FirstSubnet": _subnet(0),
        "SecondSubnet": _subnet(1),
        "Routes": resource("EC2::RouteTable", {"VpcId": ref("Vpc"), "Tags": TAGS}),
        "Route": _route(),
        "FirstRoutes": _routed("FirstSubnet"),
        "SecondRoutes": _routed("SecondSubnet"),
        "BalancerGroup": _group(
            "The load balancer", [_from(443, CidrIp=EVERYWHERE), _from(80, CidrIp=EVERYWHERE)]
        ),
        "TaskGroup": _group("Tasks", [_from(5000, SourceSecurityGroupId=ref("BalancerGroup"))]),
        # Nobody has anything to say to these.
        "WorkerGroup": _group("Workers and sweeps", []),
        "EndpointGroup": _group(
            "Endpoints",
            [_from(443, SourceSecurityGroupId=ref(name)) for name in ("TaskGroup", "WorkerGroup")],
        ),
    }


def _vpc() -> Json:
    properties = {
        "CidrBlock": ref("Network"),
        "EnableDnsSupport": True,
        "EnableDnsHostnames": True,
        "Tags": [*TAGS, {"Key": "Name", "Value": "panzoto"}],
    }
    return resource("EC2::VPC", properties)


def _subnet(number: int) -> Json:
    properties = {
        "VpcId": ref("Vpc"),
        "AvailabilityZone": {"Fn::Select": [number, {"Fn::GetAZs": ""}]},
        "CidrBlock": {"Fn::Select": [number, {"Fn::Cidr": [ref("Network"), 2, 12]}]},
        "Tags": TAGS,
    }
    return resource("EC2::Subnet", properties)


def _route() -> Json:
    properties = {
        "RouteTableId": ref("Routes"),
        "DestinationCidrBlock": EVERYWHERE,
        "GatewayId": ref("Gateway"),
    }
    return resource("EC2::Route", properties, DependsOn="GatewayAttachment")


def _routed(subnet: str) -> Json:
    properties = {"SubnetId": ref(subnet), "RouteTableId": ref("Routes")}
    return resource("EC2::SubnetRouteTableAssociation", properties)


def _from(port: int, **source: Any) -> Json:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}


def _group(whose: str, rules: list[Json]) -> Json:
    return resource(
        "EC2::SecurityGroup",
        {
            "GroupDescription": f"{whose} of Panzoto",
            "VpcId": ref("Vpc"),
            "SecurityGroupIngress": rules,
            "Tags": TAGS,
        },
    )


def endpoints(settings: Settings, bucket_arn: Any, queue_arns: list[Any]) -> Json:
    """Ways to DynamoDB, S3 and SQS inside AWS, which lead to this deployment's own resources only."""
    table = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/"
    names = [getattr(settings, f"{name}_table") for name in TABLES]
    tables = [sub(f"{table}{name}{index}") for name in names for index in ("", "/index/*")]
    # The layers of images lie in a bucket of AWS's own.
    layers = sub("arn:${AWS::Partition}:s3:::prod-${AWS::Region}-starport-layer-bucket/*")
    inventories = [inventory.where_there_is_one(one) for one in (inventory.bucket(), inventory.objects())]
    return {
        "DynamoEndpoint": _gateway("dynamodb", ["dynamodb:*"], tables),
        "S3Endpoint": _gateway("s3", ["s3:*"], [bucket_arn, *objects(bucket_arn), layers, *inventories]),
        "QueueEndpoint": _interface("sqs", ["sqs:*"], queue_arns),
    }


def _gateway(service: str, actions: list[str], resources: list[Any]) -> Json:
    properties = {
        "VpcEndpointType": "Gateway",
        "ServiceName": sub("com.amazonaws.${AWS::Region}." + service),
        "VpcId": ref("Vpc"),
        "RouteTableIds": [ref("Routes")],
        "PolicyDocument": _open_to_all(actions, resources),
    }
    return resource("EC2::VPCEndpoint", properties)


def _interface(service: str, actions: list[str], resources: list[Any]) -> Json:
    properties = {
        "VpcEndpointType": "Interface",
        "ServiceName": sub("com.amazonaws.${AWS::Region}." + service),
        "VpcId": ref("Vpc"),
        "SubnetIds": [ref("FirstSubnet"), ref("SecondSubnet")],
        "SecurityGroupIds": [ref("EndpointGroup")],
        "PrivateDnsEnabled": True,
        "PolicyDocument": _open_to_all(actions, resources),
    }
    return resource("EC2::VPCEndpoint", properties)


def _open_to_all(actions: list[str], resources: list[Any]) -> Json:
    """Return a policy that asks only what is reached; who reaches it, its own role decides."""
    return document([{**allow(actions, resources), "Principal": "*"}])


def load_balancer(port: int) -> Json:
    """TLS to the outside, HTTP to the tasks; HTTP from outside is sent to HTTPS."""
    return {
        "LoadBalancer": _balancer(),
        "TargetGroup": _target_group(port),
        "Listener": _listener(),
        "PlainListener": _plain_listener(),
    }


def _balancer() -> Json:
    attributes = {
        "routing.http.drop_invalid_header_fields.enabled": "true",
        # gunicorn keeps a connection for 75 s, so that it is this side that closes it.
        "idle_timeout.timeout_seconds": "60",
        "routing.http.xff_header_processing.mode": "append",
    }
    properties = {
        "Name": "panzoto",
        "Type": "application",
        "Scheme": "internet-facing",
        "Subnets": [ref("FirstSubnet"), ref("SecondSubnet")],
        "SecurityGroups": [ref("BalancerGroup")],
        "LoadBalancerAttributes": [{"Key": key, "Value": value} for key, value in attributes.items()],
        "Tags": TAGS,
    }
    return resource("ElasticLoadBalancingV2::LoadBalancer", properties, DependsOn="GatewayAttachment")


def _target_group(port: int) -> Json:
    attributes = {
        "deregistration_delay.timeout_seconds": "120",
        "load_balancing.algorithm.type": "least_outstanding_requests",
        # While tasks are replaced there are two releases, and each task has the console of one: a browser
        # must get a page's modules where it got the page. Loading the page anew would not do, since of dozens
        # of modules one always meets the other release. An app without cookies is sent to any task, as ever.
        "stickiness.enabled": "true",
        "stickiness.type": "lb_cookie",
        "stickiness.lb_cookie.duration_seconds": STAYS_SECONDS,
    }
    properties = {
        "TargetType": "ip",
        "Protocol": "HTTP",
        "Port": port,
        "VpcId": ref("Vpc"),
        # Not whether AWS answers: a DynamoDB that is slow for all would have every task replaced.
        "HealthCheckPath": "/api/health",
        "HealthCheckIntervalSeconds": 10,
        "HealthCheckTimeoutSeconds": 5,
        "HealthyThresholdCount": 2,
        "UnhealthyThresholdCount": 3,
        "TargetGroupAttributes": [{"Key": key, "Value": value} for key, value in attributes.items()],
        "Tags": TAGS,
    }
    return resource("ElasticLoadBalancingV2::TargetGroup", properties)


def _listener() -> Json:
    hsts = "routing.http.response.strict_transport_security.header_value"
    properties = {
        "LoadBalancerArn": ref("LoadBalancer"),
        "Protocol": "HTTPS",
        "Port": 443,
        "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
        "Certificates": [{"CertificateArn": ref("CertificateArn")}],
        "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("TargetGroup")}],
        "ListenerAttributes": [{"Key": hsts, "Value": "max-age=63072000; includeSubDomains"}],
    }
    return resource("ElasticLoadBalancingV2::Listener", properties)


def _plain_listener() -> Json:
    to_https = {
        "Type": "redirect",
        "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"},
    }
    properties = {
        "LoadBalancerArn": ref("LoadBalancer"),
        "Protocol": "HTTP",
        "Port": 80,
        "DefaultActions": [to_https],
    }
    return resource("ElasticLoadBalancingV2::Listener", properties)
